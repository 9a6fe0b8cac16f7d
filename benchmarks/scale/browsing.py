"""How long a browser takes for the pages of a search, from opening a link to its last chart.

`python -m benchmarks.scale.browsing --trials 500 --tries 3`

A search is simulated as the tests do, sent to MLflow by `sync` and served by `ui`; `--storage` with `--name` takes one
that is there. Every try has a Chromium of its own, headless, that has loaded nothing before, in a window so high that
all charts of a view are drawn. Beside the clock stands the browser's processor time, whatever else the machine does.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.measuring import describe_machine
from benchmarks.serving import find_free_port, wait_for_server
from search.folder import SearchFolder
from search.insight.record import read_record
from search.tracking.experiments import find_runs, stage_tags
from search.tracking.reading import identify
from search.tracking.run_page import run_page
from search.tracking.store import PARENT, open_client
from search.tracking.view_matter import look_at
from search.tracking.views import build_views, view_link
from search.tracking_uri import server_page
from tests.browser import Browser, browse
from tests.search.report.simulated import simulate_search

_WIDTH: Final = 1400
_HEIGHT: Final = 4000
"""Pixels; MLflow draws a chart when it comes into the window."""
_PAGE_SECONDS: Final = 600.0
_STILL_SECONDS: Final = 5.0
"""A page that has not changed for so long is taken for whole; this is not counted."""
_POLL_SECONDS: Final = 0.5
_STATE: Final = """(() => {
  if (!document.body) return "1 0 0";
  const all = text => [...document.querySelectorAll(text)];
  const waits = all(".du-bois-light-spin-spinning, [class*=skeleton], [class*=Skeleton]").length;
  const charts = all(".js-plotly-plot .main-svg, canvas, .chart").length;
  const pictures = all("img").filter(each => each.complete).length;
  return [waits, charts + pictures, document.body.innerText.length].join(" ");
})()"""
"""How many parts of a page still wait, how many are drawn, and how much it says."""


def main() -> None:
    """Open every page some times, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--storage", type=Path, help="folder of all searches, with one that is there")
    parser.add_argument("--name", default="simulated", help="of the search that is there")
    arguments = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder = SearchFolder(root=(arguments.storage or Path(temporary) / "searches").resolve() / arguments.name)
        if not folder.root.exists():
            simulate_search(folder.root.parent, trials=arguments.trials, name=arguments.name)
            _run("sync", folder)
        _run("report", folder)
        with _serve(folder.root.parent) as server:
            for name, address in find_pages(folder, server).items():
                tries = [open_page(address) for _ in range(arguments.tries)]
                print(describe(name, tries, os.getloadavg()[0]), flush=True)


def find_pages(folder: SearchFolder, server: str) -> dict[str, str]:
    """Return the addresses of a search's views, of its own run's page, and of its report.

    Args:
        folder: the search's files.
        server: http address of the MLflow server on its storage.
    """
    record, client = read_record(folder), open_client(server)
    experiment = client.get_experiment_by_name(folder.name).experiment_id
    own = stage_tags(record.settings, "search", identify(folder.search_stage.journal))
    parent = find_runs(client, experiment, own)[PARENT].info.run_id
    search_id = record.settings.search_id
    pages = {
        view.name: server_page(server, view_link(experiment, search_id, view.slug, as_table=view.as_table))
        for view in build_views(look_at(record.history, "", []), search_id, parent)
    }
    page = run_page(server, experiment, parent)
    return {**pages, "The search's own run": page, "report.html": folder.report.as_uri()}


def open_page(address: str) -> tuple[float, float]:
    """Return the seconds from opening an address to the last change of its page, and the browser's processor seconds.

    Raises:
        TimeoutError: when the page does not come to rest.
    """
    with tempfile.TemporaryDirectory() as profile, browse(Path(profile), width=_WIDTH, height=_HEIGHT) as browser:
        browser.wait_at_most(_PAGE_SECONDS)
        begun = time.monotonic()
        browser.open(address)
        return _wait_until_still(browser, begun) - begun, _processor_seconds(browser.process_id)


def _wait_until_still(browser: Browser, begun: float) -> float:
    """Return when a page changed last."""
    before, changed = "", begun
    while time.monotonic() - begun < _PAGE_SECONDS:
        state = str(browser.run(_STATE))
        if state != before:
            before, changed = state, time.monotonic()
        waits, drawn, letters = map(int, state.split())
        if not waits and drawn + letters and time.monotonic() - changed > _STILL_SECONDS:
            return changed
        time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"the page did not come to rest within {_PAGE_SECONDS:.0f} s; it still has {before}")


def _processor_seconds(session: int) -> float:
    """Return the processor time of all processes of a session so far."""
    ticks = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:13])) if int(fields[3]) == session else 0
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _serve(storage: Path) -> Iterator[str]:
    """Run `ui` on a storage; give its address."""
    port = find_free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "search", "ui", "--storage", str(storage), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_for_server(address)
        yield address
    finally:
        # It ends all that it has started.
        server.send_signal(signal.SIGTERM)
        server.wait()


def _run(name: str, folder: SearchFolder) -> None:
    command = [sys.executable, "-m", "search", name, folder.name, "--storage", str(folder.root.parent)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def describe(name: str, tries: list[tuple[float, float]], load: float) -> str:
    """Return what was measured of a page, and the machine's load meanwhile, in a line."""
    clock = ", ".join(f"{seconds:.1f}" for seconds, _ in tries)
    processor = ", ".join(f"{seconds:.1f}" for _, seconds in tries)
    return f"{name:24} {clock} s; the browser's processor {processor} s; load {load:.0f}"


if __name__ == "__main__":
    main()
