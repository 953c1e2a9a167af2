"""The nginx of docker-compose.yml in front of a test's web process, from the installed package."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.services.owned import OwnedProcess, ServiceMissingError, last_lines
from tests.services.reaper import Reaper
from tests.services.waiting import answers, free_port, wait_until

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf"
TEMPORARY = "/tmp/"  # noqa: S108 (the container's own; replaced here)


class Proxy:
    """Runs the shipped nginx.conf; only its own and web's addresses are the test's."""

    def __init__(self, directory: Path, reaper: Reaper, web_port: int) -> None:
        self.port = free_port()
        self.directory = directory
        self._program = find_program()
        self._configuration = self._write(web_port)
        self.check()
        self._process = OwnedProcess(
            [*self._command(), "-g", "daemon off;"],
            environment={"PATH": os.environ["PATH"]},
            log=directory / "nginx.log",
            reaper=reaper,
            directory=directory,
        )
        wait_until(lambda: answers(self.port), 10, what="nginx")

    def check(self) -> None:
        """Assert that nginx accepts the configuration without warnings."""
        done = subprocess.run(
            [*self._command(), "-t"], capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr
        assert "[warn]" not in done.stderr, done.stderr

    def log(self) -> str:
        """Return its log."""
        return last_lines(self.directory / "nginx.log", 200)

    def stop(self) -> None:
        self._process.stop(8)

    def _command(self) -> list[str]:
        return [self._program, "-p", str(self.directory), "-c", str(self._configuration)]

    def _write(self, web_port: int) -> Path:
        text = CONFIGURATION.read_text().replace(TEMPORARY, f"{self.directory}/")
        if os.geteuid() == 0:
            text = f"user root;\n{text}"  # the owner of this directory
        (self.directory / "site.conf").write_text(
            f"listen 127.0.0.1:{self.port} backlog=1024;\n"
            f"set $web 127.0.0.1:{web_port};\nset $proto $scheme;\n"
        )
        written = self.directory / "nginx.conf"
        written.write_text(text)
        return written


def find_program() -> str:
    """Return the path of nginx. Raises ServiceMissingError if it is not installed."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ServiceMissingError("no nginx: install the package nginx-light (./test does)")
    return found
