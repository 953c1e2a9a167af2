"""Process trees: who descends from whom, stopping, continuing and ending a whole tree."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from tests.services.waiting import wait_until


def children_of() -> dict[int, list[int]]:
    """Return every live process's children, as /proc tells them."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The command's name stands in parentheses and may hold blanks: read from its end.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                found.setdefault(int(fields[1]), []).append(int(entry.name))
    return found


def tree(pid: int) -> list[int]:
    """Return the process and all its live descendants, parents first."""
    children = children_of()
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, []))
    return found


def signal_tree(pid: int, number: signal.Signals) -> list[int]:
    """Send a signal to a process and its descendants; return those who were there.

    The parent gets it first, so that a stopped one can't start new children meanwhile; they are
    counted before that too, since a killed parent's children are nobody's any more.
    """
    members = tree(pid)
    signal_one(pid, number)
    members += [member for member in tree(pid) if member not in members]
    for member in members[1:]:
        signal_one(member, number)
    return members


def signal_one(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def wait_for_end(pids: list[int], seconds: float) -> None:
    """Wait until none of these processes runs any more."""
    wait_until(lambda: not any(map(is_alive, pids)), seconds, what=f"the end of processes {pids}")
