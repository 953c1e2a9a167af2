"""Plays a plan: operations at a steady pace, faults beside them, and a verdict after each act."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.chaos.faults import Saboteur
from tests.chaos.plan import ALONE, Act, Fault, Operation, Plan
from tests.chaos.reader import Reader
from tests.chaos.scene import Scene
from tests.chaos.verdict import Verdict, judge

CLERKS = 16
"""Concurrent operations; most of them wait for the end of a transaction held open."""
LAG = 60
"""Operations that may pass while a due fault waits for its target's previous one to end."""
FAULT_SECONDS = 120.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Played:
    """The outcome of one act."""

    timing: str
    seconds: float = 0.0
    operations: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    """Errors of the bench itself."""
    verdict: Verdict | None = None

    @property
    def is_as_promised(self) -> bool:
        """Whether the copy came out right, and the bench itself worked."""
        return self.verdict is not None and not self.verdict.faults and not self.errors


def play(plan: Plan, scene: Scene, per_second: float, say: Say) -> list[Played]:
    """Play all acts; return each one's outcome."""
    reader = Reader(scene.deployment.database_url)
    reader.start()
    saboteur = Saboteur(scene)
    try:
        played = []
        for act in plan.acts:
            scene.change_timing(act.timing)
            played.append(_play_act(act, scene, saboteur, per_second, say))
            played[-1].verdict = judge(scene, reader, saboteur.poisoned, say)
        return played
    finally:
        reader.close()


def _play_act(act: Act, scene: Scene, saboteur: Saboteur, per_second: float, say: Say) -> Played:
    played = Played(act.timing)
    began = time.monotonic()
    troubles = _Troubles(act.faults, saboteur, played, say)
    _work(act.operations, scene, troubles, played, per_second)
    troubles.finish()
    played.seconds = time.monotonic() - began
    return played


def _work(
    operations: Sequence[Operation],
    scene: Scene,
    troubles: _Troubles,
    played: Played,
    per_second: float,
) -> None:
    """Start that many operations per second, but no faster than the faults keep up."""
    waiting: set[Future[None]] = set()

    def carry_out(operation: Operation) -> None:
        if scene.office.carry_out(operation):
            played.operations[operation.kind] += 1
        else:
            played.skipped += 1

    with ThreadPoolExecutor(CLERKS) as clerks:
        due = time.monotonic()
        for operation in operations:
            troubles.begin_due(operation.number)
            waiting.add(clerks.submit(carry_out, operation))
            done = {future for future in waiting if future.done()}
            waiting -= done
            for future in done:
                future.result()
            due = max(due + 1 / per_second, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))
        for future in waiting:
            future.result()


class _Troubles:
    """Faults, in one thread per target, so that those of one target run in sequence.

    While a fault that must be alone strikes, other targets wait.
    """

    def __init__(
        self, faults: Sequence[Fault], saboteur: Saboteur, played: Played, say: Say
    ) -> None:
        self._left = sorted(faults, key=lambda fault: fault.at)
        self._saboteur = saboteur
        self._played = played
        self._say = say
        self._queues: dict[str, queue.Queue[Fault | None]] = {}
        self._threads: list[threading.Thread] = []
        self._waiting: list[Fault] = []
        self._changed = threading.Condition()
        self._striking = 0
        self._one_is_alone = False
        self._began = time.monotonic()
        for target in sorted({fault.target for fault in faults}):
            self._queues[target] = queue.Queue()
            thread = threading.Thread(target=self._run, args=(target,), name=target)
            self._threads.append(thread)
            thread.start()

    def begin_due(self, number: int) -> None:
        """Start the faults that are due; wait while one is long overdue."""
        while self._left and self._left[0].at <= number:
            self._begin(self._left.pop(0))
        with self._changed:
            self._changed.wait_for(lambda: not self._is_late(number), FAULT_SECONDS)

    def finish(self) -> None:
        """Start the remaining faults and wait for all of them to end."""
        for fault in self._left:
            self._begin(fault)
        for target in self._queues.values():
            target.put(None)
        for thread in self._threads:
            thread.join()

    def _begin(self, fault: Fault) -> None:
        with self._changed:
            self._waiting.append(fault)
        self._queues[fault.target].put(fault)

    def _is_late(self, number: int) -> bool:
        return any(fault.at < number - LAG for fault in self._waiting)

    def _run(self, target: str) -> None:
        while (fault := self._queues[target].get()) is not None:
            with self._turn(fault):
                self._say(f"{self._seconds():6.1f} s  {fault.kind} {fault.seconds or ''}")
                try:
                    self._saboteur.carry_out(fault)
                except Exception as error:  # noqa: BLE001 (whatever it was, the run must tell)
                    self._played.errors.append(f"{fault.kind}: {error!r}")
                self._played.faults[fault.kind] += 1

    @contextmanager
    def _turn(self, fault: Fault) -> Iterator[None]:
        """Wait until it may strike; others may strike beside it unless it must be alone."""
        alone = fault.target == ALONE
        with self._changed:
            if alone:
                self._one_is_alone = True
                self._changed.wait_for(lambda: not self._striking, FAULT_SECONDS)
            else:
                self._changed.wait_for(lambda: not self._one_is_alone, FAULT_SECONDS)
            self._striking += 1
            self._waiting.remove(fault)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._striking -= 1
                self._one_is_alone = self._one_is_alone and not alone
                self._changed.notify_all()

    def _seconds(self) -> float:
        return time.monotonic() - self._began
