from search.commands.launch import grant_time


def test_time_that_a_run_is_granted_comes_on_top_of_what_was_spent_and_0_is_no_limit(make_settings, script):
    """It has run for 60 s, all that it had."""
    settings = make_settings(time_budget_seconds=60.0)
    script.write("opened", cache_key="key", time=1000.0)
    script.write("halted", time=1060.0)
    granted = {text: grant_time(settings, script.journal.history, text) for text in ("2m", "0")}
    assert {text: each.time_budget_seconds for text, each in granted.items()} == {"2m": 180.0, "0": 0.0}
