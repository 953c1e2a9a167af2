"""What a command's exit code says."""

import enum

from bc_consumer.models import SyncLog


class Exit(enum.IntEnum):
    """The exit codes of ``sync_BcLinbc`` and ``replay``; scripts rely on them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTIAL = 3
    LOCKED = 4
    BRAKED = 5
    REFUSED = 6
    DRIFT = 7
    INTERRUPTED = 130


RUNS = {
    SyncLog.Status.OK: Exit.OK,
    SyncLog.Status.PARTIAL: Exit.PARTIAL,
    SyncLog.Status.BRAKED: Exit.BRAKED,
    SyncLog.Status.REFUSED: Exit.REFUSED,
}


def exit_of_run(run: SyncLog) -> Exit:
    """Return the exit code that tells how this run ended."""
    return RUNS.get(SyncLog.Status(run.status), Exit.FAILED)
