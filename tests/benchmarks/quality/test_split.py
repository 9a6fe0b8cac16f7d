import hashlib

from benchmarks.quality.settled import VALLEYS
from benchmarks.quality.split import SPLIT
from benchmarks.quality.synthetic import FAMILIES

TUNED_ON_BEFORE = {"lcbench/126026", "lcbench/189862"}


def of_source(part: str, source: str) -> list[str]:
    return [name for name in SPLIT[part] if name.startswith(source + "/")]


def test_every_task_is_in_one_part_and_all_parts_have_all_families():
    names = [name for part in SPLIT.values() for name in part]
    assert len(names) == len(set(names)) == 33
    made_up = {f"synthetic/{each.name}" for each in (*FAMILIES, *VALLEYS)}
    assert made_up == {name for name in names if name.startswith("synthetic/")}
    for part in SPLIT:
        assert len(of_source(part, "lcbench")) >= 4 and len(of_source(part, "taskset")) == 2
        assert len({name.startswith("synthetic/settled") for name in of_source(part, "synthetic")}) == 2


def test_recorded_tasks_that_nobody_tuned_on_were_dealt_in_the_order_of_their_hashes():
    for source in ("lcbench", "taskset"):
        dealt = {part: [n for n in of_source(part, source) if n not in TUNED_ON_BEFORE] for part in SPLIT}
        ordered = sorted(
            (n for names in dealt.values() for n in names), key=lambda n: hashlib.sha256(n.encode()).digest()
        )
        assert [set(names) for names in dealt.values()] == [
            set(ordered[: len(dealt["design"])]),
            set(ordered[len(dealt["design"]) : -len(dealt["final"])]),
            set(ordered[-len(dealt["final"]) :]),
        ]
