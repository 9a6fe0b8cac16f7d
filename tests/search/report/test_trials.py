from dataclasses import replace

from search.report.trials import told_trials


def test_a_trial_that_trains_slower_than_it_could_says_why(make_record, make_matter, make_trials):
    history = make_trials({"ious": [0.5]}, {"ious": [0.6]})
    history.trials[1] = replace(history.trials[1], note="the network is not compiled (RuntimeError: no compiler)")
    told = str(told_trials(make_matter(make_record(history))))
    assert told.count("the network is not compiled") == 1
    assert told.index("trial 1") < told.index("the network is not compiled")
