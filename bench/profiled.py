"""Where a command's time goes: by py-spy if it is installed, else by cProfile in each thread.

python -m bench.profiled OUTPUT manage.py COMMAND …    (``bench load --profile`` calls it)
"""

from __future__ import annotations

import cProfile
import pstats
import runpy
import shutil
import sys
import threading
from collections import Counter
from pathlib import Path

from bench.deployments import RESULTS, OdooServer, Session

LINES = 25


def load(session: Session, server: OdooServer, transport: str) -> list[str]:
    """Load an empty copy under a profiler; return what a table notes about it."""
    RESULTS.mkdir(exist_ok=True)
    spy = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if spy:
        output = RESULTS / f"load-{transport}.folded"
        recording = [
            "record",
            "--format",
            "raw",
            "--function",
            "--rate",
            "200",
            "--output",
            str(output),
            "--",
        ]
        session.load(server, transport, through=[spy, *recording, sys.executable])
        text = _of_stacks(output)
    else:
        output = RESULTS / f"load-{transport}.prof"
        session.load(
            server, transport, through=[sys.executable, "-m", "bench.profiled", str(output)]
        )
        text = _of_profile(output)
    told = output.with_suffix(".txt")
    told.write_text(text)
    return [f"Profile of {transport}: {told} (and {output.name})", *text.splitlines()[:LINES]]


def _of_stacks(output: Path) -> str:
    """Add up py-spy's stacks: each function's own samples, and those of all that it calls."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for line in output.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if not frames[-1] or "(threading.py:" in frames[-1]:
            continue  # the thread waits for another one
        total += int(count)
        own[frames[-1]] += int(count)
        for frame in set(frames):
            within[frame] += int(count)
    lines = [f"{total} samples; share of a function alone, and with what it calls"]
    for title, counts in (("alone", own), ("with what it calls", within)):
        lines += [title, *(f"  {n / total:6.1%}  {frame}" for frame, n in counts.most_common(40))]
    return "\n".join(lines)


def _of_profile(output: Path) -> str:
    with output.with_suffix(".txt").open("w") as stream:
        stats = pstats.Stats(str(output), stream=stream)
        stats.sort_stats("tottime").print_stats(40)
        stats.sort_stats("cumtime").print_stats(80)
    lines = output.with_suffix(".txt").read_text().splitlines()
    return "\n".join(line for line in lines if line.strip())


class _Profiles:
    """A profile of the main thread and of each thread that begins; written when all is over."""

    def __init__(self) -> None:
        self._all: list[cProfile.Profile] = []
        self._run = threading.Thread.run

    def begin(self) -> cProfile.Profile:
        """Profile the calling thread from now on."""
        profile = cProfile.Profile()
        self._all.append(profile)
        profile.enable()
        return profile

    def install(self) -> None:
        """Profile each thread that begins from now on."""
        run, profiles = self._run, self

        def profiled_run(thread: threading.Thread) -> None:
            profile = profiles.begin()
            try:
                run(thread)
            finally:
                profile.disable()

        threading.Thread.run = profiled_run  # type: ignore[method-assign, assignment]

    def write(self, output: str) -> None:
        """Write what all of them have seen; threads that still run are left out."""
        stats: pstats.Stats | None = None
        for profile in self._all:
            profile.create_stats()
            if not getattr(profile, "stats", None):
                continue
            if stats is None:
                stats = pstats.Stats(profile)
            else:
                stats.add(profile)
        if stats is not None:
            stats.dump_stats(output)


def main() -> None:
    """Run a Python program under the profiler."""
    output, program, *words = sys.argv[1:]
    sys.argv = [program, *words]
    sys.path.insert(0, str(Path(program).resolve().parent))
    profiles = _Profiles()
    profiles.install()
    profile = profiles.begin()
    try:
        runpy.run_path(program, run_name="__main__")
    finally:
        profile.disable()
        profiles.write(output)


if __name__ == "__main__":
    main()
