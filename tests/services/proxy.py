"""What stands in front of a test's web process: nginx and Caddy, with the shipped configurations.

The programs are those of the installed packages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.services.owned import OwnedProcess, ServiceMissingError, last_lines
from tests.services.reaper import Reaper
from tests.services.waiting import answers, free_port, wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TEMPORARY = "/tmp/"  # noqa: S108 (the container's own; replaced here)
NAME = "copy.example.com"
UPSTREAM = re.compile(r"127\.0\.0\.1:800[01]")
OWNER = "user root;\n" if os.geteuid() == 0 else ""
"""As whom nginx works here: as the owner of the test's directory."""


class _Front:
    """A proxy that is checked, started and stopped.

    Attributes:
        port: where it takes http.
    """

    def __init__(
        self, directory: Path, reaper: Reaper, command: list[str], check: list[str]
    ) -> None:
        self.directory = directory
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        done = subprocess.run(
            check, capture_output=True, text=True, check=False, timeout=30, env=environment
        )
        assert done.returncode == 0, done.stderr
        assert "[warn]" not in done.stderr, done.stderr
        self._process = OwnedProcess(
            command,
            environment=environment,
            log=directory / "proxy.log",
            reaper=reaper,
            directory=directory,
        )

    def log(self) -> str:
        """Return its log."""
        return last_lines(self.directory / "proxy.log", 200)

    def stop(self) -> None:
        self._process.stop(8)


class Proxy(_Front):
    """Runs the nginx.conf of docker-compose.yml; only the addresses are the test's."""

    def __init__(self, directory: Path, reaper: Reaper, web_port: int) -> None:
        self.port = free_port()
        text = (DEPLOY / "nginx.conf").read_text().replace(TEMPORARY, f"{directory}/")
        written = directory / "nginx.conf"
        written.write_text(OWNER + text)
        _copy_shared_parts(directory)
        (directory / "site.conf").write_text(
            f"listen 127.0.0.1:{self.port} backlog=1024;\n"
            f"set $web 127.0.0.1:{web_port};\nset $proto $scheme;\n"
        )
        command = [find_program("nginx"), "-p", str(directory), "-c", str(written)]
        super().__init__(directory, reaper, [*command, "-g", "daemon off;"], [*command, "-t"])
        wait_until(lambda: answers(self.port), 10, what="nginx")


class TlsNginx(_Front):
    """Runs bc-consumer.conf within an nginx.conf like Debian's.

    The test's are the addresses, the certificate, and where temporary files are.

    Attributes:
        port, tls_port: where it takes http and https.
    """

    def __init__(
        self, directory: Path, reaper: Reaper, web_ports: Iterable[int], certificate: Path
    ) -> None:
        self.port, self.tls_port = free_port(), free_port()
        text = (DEPLOY / "nginx" / "bc-consumer.conf").read_text()
        text = re.sub(r"listen \[::\].*\n", "", text)
        text = text.replace("listen 80;", f"listen 127.0.0.1:{self.port};")
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{self.tls_port} ssl;")
        text = text.replace(f"/etc/letsencrypt/live/{NAME}/fullchain.pem", f"{certificate}/own.pem")
        text = text.replace(f"/etc/letsencrypt/live/{NAME}/privkey.pem", f"{certificate}/key.pem")
        text = _with_ports(text, web_ports).replace(NAME, "127.0.0.1")
        (directory / "bc-consumer.conf").write_text(text)
        _copy_shared_parts(directory)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in kinds)
        written = directory / "nginx.conf"
        written.write_text(
            f"{OWNER}pid {directory}/pid;\nerror_log stderr warn;\nevents {{}}\n"
            # As Debian's nginx.conf has it, so that nothing is said twice.
            "http { sendfile on; tcp_nopush on; types_hash_max_size 2048; ssl_protocols TLSv1.2;"
            f" access_log {directory}/access.log; gzip on; {paths}\n include bc-consumer.conf; }}\n"
        )
        command = [find_program("nginx"), "-p", str(directory), "-c", str(written)]
        super().__init__(directory, reaper, [*command, "-g", "daemon off;"], [*command, "-t"])
        wait_until(lambda: answers(self.tls_port), 10, what="nginx")


class TlsCaddy(_Front):
    """Runs the shipped Caddyfile; the test's are the addresses and the certificate.

    Attributes:
        port, tls_port: where it takes http and https.
    """

    def __init__(
        self, directory: Path, reaper: Reaper, web_ports: Iterable[int], certificate: Path
    ) -> None:
        self.port, self.tls_port = free_port(), free_port()
        text = (DEPLOY / "caddy" / "Caddyfile").read_text()
        ports = f"admin off\n\thttp_port {self.port}\n\thttps_port {self.tls_port}\n\tservers {{"
        text = text.replace("servers {", ports, 1)
        text = text.replace("# With a certificate of your own: tls", "tls")
        text = text.replace("/etc/caddy/fullchain.pem", f"{certificate}/own.pem")
        text = text.replace("/etc/caddy/privkey.pem", f"{certificate}/key.pem")
        written = directory / "Caddyfile"
        written.write_text(_with_ports(text, web_ports).replace(NAME, "127.0.0.1"))
        options = ["--config", str(written), "--adapter", "caddyfile"]
        program = find_program("caddy")
        check = [program, "validate", *options]
        super().__init__(directory, reaper, [program, "run", *options], check)
        wait_until(lambda: answers(self.tls_port), 10, what="Caddy")


def _copy_shared_parts(directory: Path) -> None:
    (directory / "bc").mkdir()
    for part in ("zones.conf", "server.conf"):
        shutil.copy(DEPLOY / "nginx" / part, directory / "bc" / part)


def _with_ports(text: str, web_ports: Iterable[int]) -> str:
    ports = iter(web_ports)
    return UPSTREAM.sub(lambda _found: f"127.0.0.1:{next(ports)}", text)


def find_program(name: str) -> str:
    """Return a program's path. Raises ServiceMissingError if it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        package = {"nginx": "nginx-light"}.get(name, name)
        raise ServiceMissingError(f"no {name}: install the package {package} (./test does)")
    return found
