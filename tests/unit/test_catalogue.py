"""The French catalogue is complete, and the compiled one, which is what runs, is up to date.

To bring it up to date: tools/messages, translate what is empty or marked fuzzy, and run it again.
"""

import gettext
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

APPLICATION = Path(__file__).resolve().parents[2] / "bc_consumer"
CATALOGUE = Path("locale/fr/LC_MESSAGES/django.po")


@pytest.fixture
def _gettext() -> None:
    if shutil.which("msgfmt") and shutil.which("xgettext"):
        return
    why = "gettext's programs are missing: apt-get install gettext"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture
def fresh(tmp_path: Path, _gettext: None) -> Path:
    """A copy of the application whose catalogue makemessages has just brought up to date."""
    copy = tmp_path / "bc_consumer"
    shutil.copytree(APPLICATION, copy, ignore=shutil.ignore_patterns("__pycache__", "*.mo"))
    command = [sys.executable, "-m", "django", "makemessages", "-l", "fr"]
    options = ["--no-obsolete", "--no-wrap", "--add-location=file", "--verbosity", "0"]
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": str(APPLICATION.parent),
    }
    run(command + options, copy, environment)
    return copy / CATALOGUE


def run(command: list[str], directory: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stderr}"


def messages(catalogue: Path, tmp_path: Path, *options: str) -> dict[object, str]:
    """Return what msgfmt makes of a catalogue: untranslated and fuzzy messages are left out."""
    compiled = tmp_path / "compiled.mo"
    run(["msgfmt", *options, "-o", str(compiled), str(catalogue)], tmp_path, os.environ)
    return read(compiled)


def read(compiled: Path) -> dict[object, str]:
    with compiled.open("rb") as file:
        return dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]


def test_every_message_is_translated(fresh: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.po"
    # Each message as its own translation: what a complete catalogue would have.
    run(["msgen", "-o", str(wanted), str(fresh)], tmp_path, os.environ)
    all_messages = messages(wanted, tmp_path, "--use-fuzzy")
    translated = messages(fresh, tmp_path)
    missing = sorted(map(str, all_messages.keys() - translated.keys()))
    assert not missing, f"not translated, or fuzzy (see {CATALOGUE}): {missing}"
    assert len(translated) > 200


def test_no_message_is_stale(fresh: Path, tmp_path: Path) -> None:
    committed = messages(APPLICATION / CATALOGUE, tmp_path)
    stale = sorted(map(str, committed.keys() - messages(fresh, tmp_path).keys()))
    assert not stale, f"used nowhere any more, run makemessages: {stale}"


@pytest.mark.usefixtures("_gettext")
def test_placeholders_are_kept(tmp_path: Path) -> None:
    assert messages(APPLICATION / CATALOGUE, tmp_path, "--check-format")


@pytest.mark.usefixtures("_gettext")
def test_compiled_catalogue_is_up_to_date(tmp_path: Path) -> None:
    compiled = read((APPLICATION / CATALOGUE).with_suffix(".mo"))
    assert compiled == messages(APPLICATION / CATALOGUE, tmp_path), "run compilemessages"
