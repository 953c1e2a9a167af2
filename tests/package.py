"""Builds the package that other projects install. Nothing is downloaded: uv brings the builder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.harness import ROOT


def build_wheel(directory: Path) -> Path:
    """Build the wheel into ``directory``; return its path."""
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [str(uv), "build", "--wheel", "--offline", "--out-dir", str(directory), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"the package could not be built:\n{done.stdout}\n{done.stderr}"
    (wheel,) = directory.glob("*.whl")
    return wheel
