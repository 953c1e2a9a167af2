"""Builds the package that other projects install, and installs it. Nothing is downloaded.

uv brings the builder; what the package needs is linked from the tests' own environment, and no more
than that.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tests.harness import ROOT

UV = Path(sys.executable).with_name("uv")


def build(directory: Path, *kinds: str, source: Path = ROOT) -> Path:
    """Build into ``directory``; return the path of the last thing built."""
    words = [str(UV), "build", *kinds, "--offline", "--out-dir", str(directory), str(source)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"the package could not be built:\n{done.stdout}\n{done.stderr}"
    built = [file for file in directory.iterdir() if file.name.startswith("bc_consumer-")]
    return max(built, key=lambda file: file.stat().st_mtime_ns)


def build_wheel(directory: Path) -> Path:
    """Build the wheel into ``directory``; return its path."""
    return build(directory, "--wheel")


def install(wheel: Path, directory: Path) -> Path:
    """Install a wheel into a fresh virtual environment; return that environment's Python.

    It has what the wheel says that it needs, what that needs, and nothing else.
    """
    python = directory / "bin" / "python"
    make = [sys.executable, "-m", "venv", "--without-pip", str(directory)]
    put = [str(UV), "pip", "install", "-q", "--offline", "--no-deps", "--python", str(python)]
    for words in (make, [*put, str(wheel)]):
        subprocess.run(words, check=True, timeout=60)
    (packages,) = directory.glob("lib/python*/site-packages")
    (own,) = packages.glob("bc_consumer-*.dist-info")
    needed = metadata.PathDistribution(own).requires or []
    for name in _closure([Requirement(text) for text in needed]):
        found = metadata.distribution(name)
        for part in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
            if not (packages / part).exists():
                (packages / part).symlink_to(str(found.locate_file(part)))
    return python


def _closure(wanted: list[Requirement]) -> set[str]:
    """Return the names of the distributions that satisfy these; fail if one does not."""
    closed: set[str] = set()
    while wanted:
        one = wanted.pop()
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        found = metadata.distribution(one.name)
        assert one.specifier.contains(found.version, prereleases=True), f"{one}: {found.version}"
        if one.name not in closed:
            closed.add(one.name)
            wanted += [Requirement(text) for text in found.requires or []]
    return closed
