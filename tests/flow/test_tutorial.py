"""docs/tutorial.md, followed to the letter in a scratch copy of the repository.

Boxes of the document: ``sh`` is run, ``text`` after it has what it prints, ``diff`` is applied,
``python`` and ``po`` name their file in the first line. ``./start`` runs on until its next start.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.flow.test_add_a_field import ROOT
from tests.flow.test_add_a_field import scratch as scratch  # noqa: PLC0414 (a fixture)
from tests.services.owned import OwnedProcess
from tests.services.session import Services
from tests.services.waiting import free_port, wait_until

PORT = "8000"
"""The one in the document; the test's is a free one."""
READY = "Ctrl-C stops everything"
SHOWN = "<dt>Delivery place</dt><dd>Antwerp</dd>"
BOX = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Box:
    """A box of the document, and what is expected to be printed, if it says so."""

    kind: str
    content: str
    expected: str


def boxes() -> list[Box]:
    found = BOX.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    followed = [*found[1:], ("", "")]
    pairs = zip(found, followed, strict=True)
    return [
        Box(kind, content, after[1] if after[0] == "text" else "")
        for (kind, content), after in pairs
        if kind != "text"
    ]


class Newcomer:
    """Does what the document says, in a clone of the repository."""

    def __init__(self, home: Path, services: Services) -> None:
        self.home = home
        self.port = free_port()
        self._services = services
        self._start: OwnedProcess | None = None
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "LANG": "C.UTF-8",
            "ENV_FILE": os.devnull,
            "PORT": str(self.port),
        }

    def follow(self, box: Box) -> str:
        """Do what a box says; return what was printed."""
        name, _, rest = box.content.partition("\n")
        file = self.home / name.removeprefix("# ")
        match box.kind:
            case "sh" if "./start" in box.content:
                self._start_it(box.content)
            case "sh":
                return self._run(box)
            case "diff":
                words = ["git", "apply", "-"]
                subprocess.run(words, cwd=self.home, input=box.content, text=True, check=True)
            case "python":
                assert not file.exists(), file
                file.write_text(rest)
            case "po":
                assert file.exists(), file
                with file.open("a", encoding="utf-8") as catalogue:
                    catalogue.write(rest)
            case _:
                pytest.fail(f"docs/tutorial.md has a box that this test can't follow: {box}")
        return ""

    def _run(self, box: Box) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", box.content],  # noqa: S607
            cwd=self.home,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == ("failed" in box.expected), f"{box.content}\n{said}"
        for line in box.expected.splitlines():
            assert line in said, f"{line!r} is not what {box.content!r} printed:\n{said}"
        return said

    def _start_it(self, command: str) -> None:
        self.stop()
        log = self.home / "start.log"
        log.unlink(missing_ok=True)
        self._start = OwnedProcess(
            ["bash", "-c", f"exec env {command.strip()}"],
            environment=self._environment,
            log=log,
            reaper=self._services.reaper,
            directory=self.home,
        )
        wait_until(lambda: READY in log.read_text(), 90, what=f"{command} to say {READY!r}")

    def stop(self) -> None:
        if self._start is not None:
            self._start.stop(30)

    def page(self, address: str) -> str:
        """What a browser without a login gets."""
        path = address.partition(f"localhost:{PORT}")[2]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers={"Accept-Language": "en"})
            answer = connection.getresponse()
            return answer.read().decode() if answer.status == 200 else ""
        finally:
            connection.close()


@pytest.fixture
def newcomer(scratch: Path, services: Services) -> Iterator[Newcomer]:
    for name in ("start", "requirements.txt", "requirements-dev.txt"):
        shutil.copy2(ROOT / name, scratch / name)
    made = Newcomer(scratch, services)
    yield made
    made.stop()


@pytest.mark.timeout(500)
def test_a_newcomer_who_does_what_it_says_sees_the_field(newcomer: Newcomer) -> None:
    printed = "".join(newcomer.follow(box) for box in boxes())
    (address,) = re.findall(r"http://localhost:\d+/bc/\d+/", printed)
    wait_until(lambda: SHOWN in newcomer.page(address), 30, what=f"{SHOWN} at {address}")
    french = (newcomer.home / "docs/metier.fr.md").read_text(encoding="utf-8")
    assert "| lieu de livraison (`incoterm_location`) |" in french
