"""Process trees: finding descendants; stopping, resuming and ending whole trees."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from tests.services.waiting import wait_until


def children_of() -> dict[int, list[int]]:
    """Return every live process's children, according to /proc."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The command's name is in parentheses and may contain blanks, so parse from its end.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                found.setdefault(int(fields[1]), []).append(int(entry.name))
    return found


def tree(pid: int) -> list[int]:
    """Return the process and all live descendants, parents first."""
    children = children_of()
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, []))
    return found


def signal_tree(pid: int, number: signal.Signals) -> list[int]:
    """Send a signal to a process and its descendants; return those that existed.

    The parent gets it first, so that once stopped it starts no new children. Descendants are listed
    before that, because a killed parent's children can no longer be traced.
    """
    members = tree(pid)
    signal_one(pid, number)
    members += [member for member in tree(pid) if member not in members]
    for member in members[1:]:
        signal_one(member, number)
    return members


def signal_one(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def is_alive(pid: int) -> bool:
    """Return whether a process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def wait_for_end(pids: list[int], seconds: float) -> None:
    """Wait until none of these processes runs any longer."""
    wait_until(lambda: not any(map(is_alive, pids)), seconds, what=f"the end of processes {pids}")
