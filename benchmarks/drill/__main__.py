"""`python -m benchmarks.drill`: every fault struck at a search of the project and at one of the stock combination.

Takes about a minute and a half per fault and combination on two cores. With --later the search runs undisturbed, and
its confirmation and its retraining are struck: four minutes per fault.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.drill.faults import FAULTS, UNDISTURBED, Fault
from benchmarks.drill.nodes import DrillError, UnfitError
from benchmarks.drill.run import ARMS, LATER_SIZE, Size, find_faults, hold, hold_later
from benchmarks.drill.table import format_head, format_row
from segcore.streets.synthetic import write_streets


def main() -> None:
    """Hold the drills and print the table; ends with 1 when the project's search did not stand one."""
    arguments = _parse()
    root = Path(tempfile.mkdtemp(prefix="drill-"))
    data = root / "streets"
    write_streets(data, cases=12, height=64, width=96, test_cases=0)
    lines, stood = format_head(), True
    print("\n".join(lines), flush=True)
    if arguments.later:
        stood = _hold_later(data, root, arguments)
    for arm in () if arguments.later else arguments.arms:
        undisturbed = None
        for number, fault in enumerate([UNDISTURBED, *_chosen(arguments)]):
            if arm == "stock" and not fault.stock:
                continue
            place = root / f"{arm}-{number}"
            line, wrong, winner = _hold(fault, arm, data, place, undisturbed)
            undisturbed = winner if fault is UNDISTURBED else undisturbed
            stood = stood and not (wrong and arm == "ours")
            print(line, flush=True)
            # What was said and logged tells why; it may not come again.
            if not (arguments.keep or (wrong and arm == "ours")):
                shutil.rmtree(place, ignore_errors=True)
    if arguments.keep or not stood:
        print(f"what was kept lies in {root}")
    else:
        shutil.rmtree(root, ignore_errors=True)
    raise SystemExit(0 if stood else 1)


def _hold(fault: Fault, arm: str, data: Path, place: Path, undisturbed: str | None) -> tuple[str, bool, str | None]:
    try:
        account = hold(fault, arm, Size(), data, place)
    except (UnfitError, DrillError) as error:
        return f"| {fault.name} | {arm} | not struck: {error} |", False, None
    printed = _read_printed(place)
    # How often epochs are trained again and what a message says is asked of both, the words of ours alone.
    wrong = find_faults(account, fault, undisturbed, printed if arm == "ours" else fault.said)
    return format_row(fault.name, arm, account, wrong), bool(wrong), account.winner


def _hold_later(data: Path, root: Path, arguments: argparse.Namespace) -> bool:
    """Strike the confirmation and the retraining, print a line for each, and say whether all were sound."""
    undisturbed: dict[str, str] = {}
    stood = True
    for number, fault in enumerate([UNDISTURBED, *_chosen(arguments)]):
        place, sound = root / str(number), True
        try:
            for stage, account in hold_later(fault, LATER_SIZE, data, place, in_bucket=arguments.bucket):
                wrong = find_faults(account, fault, undisturbed.setdefault(stage, account.winner), _read_printed(place))
                sound = sound and not wrong
                print(format_row(fault.name, stage, account, wrong), flush=True)
        except (UnfitError, DrillError) as error:
            print(f"| {fault.name} | later | not struck: {error} |", flush=True)
        stood = stood and sound
        if sound and not arguments.keep:
            shutil.rmtree(place, ignore_errors=True)
    return stood


def _read_printed(place: Path) -> str:
    return "".join(file.read_text(encoding="utf-8", errors="replace") for file in sorted(place.glob("driver-*.txt")))


def _chosen(arguments: argparse.Namespace) -> list[Fault]:
    parts = arguments.faults.split(",")
    named = [fault for fault in FAULTS if any(part in fault.name for part in parts)]
    if arguments.later:
        return [fault for fault in named if fault.is_of_any_stage and (arguments.bucket or not fault.in_bucket)]
    return [fault for fault in named if not fault.in_bucket]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--faults", default="", help="parts of the names of the faults to strike, separated by commas")
    parser.add_argument("--later", action="store_true", help="strike the confirmation and the retraining instead")
    parser.add_argument("--bucket", action="store_true", help="with --later: the storage is in a bucket")
    parser.add_argument("--keep", action="store_true", help="keep what was written, also of what was sound")
    return parser.parse_args()


if __name__ == "__main__":
    # The two processor cores belong to the trials.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
