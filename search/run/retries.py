"""Trials that wait for a worker, left by an earlier run or a failure, and nodes that get no more trials.

Whose fault a failure was is decided in `judge.blame`. Ray Tune's own retries know neither nodes nor the journal.
"""

from collections.abc import Callable, Mapping

from search.judge.blame import Blame, Failure
from search.memory.events import Reopened, Restarted, Warned
from search.memory.journal import Journal


class Retries:
    """Says which trial is tried again, and where; `waiting` holds those to hand out before any other, in order.

    Args:
        journal: what is decided is written there, and rests on what it holds of this run.
        max_failures: how many failures of its own a trial may have.
        find_nodes: returns the addresses of the nodes that may be given trials, by Ray's name.
        leave_out: gives a node no more trials, as long as there are others.
        rest: gives a node no trial for a while.
    """

    def __init__(
        self,
        journal: Journal,
        max_failures: int,
        find_nodes: Callable[[], Mapping[str, str]],
        leave_out: Callable[[str], object],
        rest: Callable[[str], object],
    ) -> None:
        self.waiting: list[int] = []
        self._journal = journal
        self._max_failures = max_failures
        self._find_nodes = find_nodes
        self._leave_out = leave_out
        self._rest = rest
        self._left_out: set[str] = set()
        self._crowding: dict[int, set[int]] = {}
        self._blame = Blame()
        journal.follow(self._blame)

    def take_waiting(self) -> int | None:
        """Return the next trial to hand out; None when none waits that may run now."""
        self.waiting = [number for number in self.waiting if self._journal.history.trials[number].outcome is None]
        running = self._blame.find_running(None)
        number = next((each for each in self.waiting if not running & self._crowding.get(each, set())), None)
        if number is not None:
            self.waiting.remove(number)
        return number

    def node_of(self, number: int) -> str | None:
        """Return the node that a trial runs on, as Ray names it; None when it is not known."""
        return self._blame.node_of(number)

    def take_up(
        self, number: int, node: str | None, message: str, *, of_node: bool = False, crowded: bool = False
    ) -> bool:
        """Put a trial whose worker failed back in the line, unless it is given up.

        Args:
            number: the trial's.
            node: that the worker was on, as Ray names it, or None.
            message: what is known of the cause.
            of_node: whether the fault is known to be the node's, see `recorder`.
            crowded: whether the node had not enough memory for it beside those that run there: it waits until they have
                ended, for two that are too large together would end each other until both are given up.

        Returns:
            Whether it is tried again.
        """
        if of_node and node is not None:
            self._rest(node)
        if crowded and node is not None:
            self._crowding[number] = self._blame.find_running(node) - {number}
        failure = Failure(node=node, of_node=of_node)
        if not self._blame.may_go_on(number, failure, self._max_failures, self._find_nodes().keys() - self._left_out):
            return False
        self._journal.write(Restarted(trial=number, message=message, node=node, of_node=of_node))
        self.waiting.insert(0, number)
        return True

    def judge_nodes(self) -> None:
        """Leave out the nodes on which trial after trial fails, and take up again what was given up because of one."""
        nodes = self._find_nodes()
        bad = self._blame.find_bad(nodes.keys()) - self._left_out
        for node in sorted(bad):
            self._left_out.add(node)
            self._leave_out(node)
            told = f"Trial after trial failed on node {nodes[node]} ({node[:8]}), unlike elsewhere: it gets no more."
            advice = "Look at its memory, disk, mounts and GPUs; the next run tries it again."
            self._journal.write(Warned(message=f"{told} {advice}"))
        for number in self._blame.find_wronged(self._max_failures, nodes.keys() - self._left_out):
            self._journal.write(Reopened(trial=number, accelerator=self._journal.history.trials[number].accelerator))
            self.waiting.append(number)

    def find_avoided(self, number: int) -> list[str]:
        """Return the nodes that a trial is not to run on beside those that no trial is, as Ray names them."""
        if not self._blame.count_failures(number):
            return []
        return sorted(self._blame.find_avoided(number, self._find_nodes().keys() - self._left_out))
