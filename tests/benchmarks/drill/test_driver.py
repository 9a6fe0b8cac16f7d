import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys, time
from pathlib import Path
from benchmarks.drill.driver import set_clock
file = Path(sys.argv[1])
file.write_text("7200")
real = time.time()
set_clock(file)
from search.memory.moment import now
times, moments = [time.time()], [now()]
file.write_text("-3600")
print(round((times[0] - real) / 60), round((time.time() - times[0]) / 60), round((now() - moments[0]) / 60))
"""


def test_a_driver_goes_by_the_clock_that_is_set_and_its_events_do_not(tmp_path):
    """It begins two hours ahead, and is set three hours back."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "clock")]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.split() == ["120", "-180", "0"]
