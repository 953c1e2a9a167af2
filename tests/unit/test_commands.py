"""What all our commands have in common, as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.harness import ROOT


def test_a_reader_that_has_seen_enough_ends_a_command_without_a_traceback(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "ENV_FILE": os.devnull,
        "SECRET_KEY": "x" * 50,
        "DATABASE_URL": f"sqlite:///{tmp_path}/bc.sqlite3",
        "DATA_DIR": str(tmp_path),
    }
    command = [sys.executable, "manage.py", "doctor"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(writing)
    assert done.returncode == 1
    assert "BrokenPipe" not in done.stderr
    assert "Traceback" not in done.stderr
