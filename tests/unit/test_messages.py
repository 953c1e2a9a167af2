"""The French catalogues say everything that the sources say, and are compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT

APPS = ("bc_consumer", "odoo_webhook")
CATALOGUE = "locale/fr/LC_MESSAGES/django.po"
HOW = "run tools/messages, translate what is empty or marked fuzzy, and run it again"


def run(*command: str, directory: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def speaks(app: str) -> bool:
    """Tell whether an app has messages of its own."""
    return any("gettext" in path.read_text() for path in (ROOT / app).rglob("*.py"))


def catalogues(directory: Path) -> list[Path]:
    found = [directory / app / CATALOGUE for app in APPS if speaks(app)]
    for path in found:
        assert path.exists(), f"there is no {path}: {HOW}"
    return found


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources whose catalogues hold every message that the sources have now."""
    if shutil.which("xgettext") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("gettext is not installed")
    copy = tmp_path_factory.mktemp("messages")
    command = (sys.executable, "-m", "django", "makemessages", "--locale=fr", "--no-location")
    for path in catalogues(ROOT):
        app = path.relative_to(ROOT).parts[0]
        shutil.copytree(ROOT / app, copy / app, ignore=shutil.ignore_patterns("__pycache__"))
        run(*command, directory=copy / app)
    return copy


@pytest.mark.parametrize("what", ["--untranslated", "--only-fuzzy"])
def test_every_message_is_translated(collected: Path, what: str) -> None:
    for path in catalogues(collected):
        missing = run(
            "msgattrib", what, "--no-obsolete", "--no-wrap", str(path), directory=collected
        )
        messages = [line for line in missing.splitlines() if line.startswith('msgid "')][1:]
        assert not messages, f"{path.relative_to(collected)}: {HOW}\n" + "\n".join(messages)


def test_the_compiled_catalogue_is_that_of_the_source(tmp_path: Path, collected: Path) -> None:
    for path in catalogues(ROOT):
        fresh = tmp_path / "fresh.mo"
        run("msgfmt", "--check", "--output-file", str(fresh), str(path), directory=collected)
        compiled = path.with_suffix(".mo")
        assert compiled.exists(), f"{compiled} is missing: {HOW}"
        said, wanted = (run("msgunfmt", str(one), directory=ROOT) for one in (compiled, fresh))
        assert said == wanted, f"{compiled} is out of date: {HOW}"
