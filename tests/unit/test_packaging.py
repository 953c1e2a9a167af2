"""What a project of one's own installs: the two apps, all their files, and what they need."""

from __future__ import annotations

import re
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import bc_consumer
from tests.harness import ROOT
from tests.package import build, build_wheel

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
APPS = ("bc_consumer", "odoo_webhook")


def test_the_package_s_needs_are_those_of_the_service() -> None:
    wanted = {
        line.strip()
        for line in (ROOT / "requirements.in").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    }
    project = PYPROJECT["project"]
    needs = [*project["dependencies"], *project["optional-dependencies"]["web"]]
    assert set(needs) - wanted == set(), "pyproject.toml and requirements.in differ"


@pytest.mark.parametrize("linked", [False, True])
def test_a_virtualenv_is_no_part_of_the_repository(tmp_path: Path, linked: bool) -> None:
    """Nor is a link to one, as a second working tree has it."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)  # noqa: S607
    (tmp_path / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    real = tmp_path.parent / "elsewhere" if linked else tmp_path / ".venv"
    real.mkdir(exist_ok=True)
    (real / "file").touch()
    if linked:
        (tmp_path / ".venv").symlink_to(real)
    asked = subprocess.run(
        ["git", "status", "--porcelain"],  # noqa: S607
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.split() == ["??", ".gitignore"]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.parametrize("app", APPS)
def test_the_package_is_typed(packed: set[str], app: str) -> None:
    """Without this file a type checker ignores the annotations of an installed package."""
    assert f"{app}/py.typed" in packed


def test_the_package_has_every_file_of_the_apps_and_no_other(packed: set[str]) -> None:
    wanted = {
        str(path.relative_to(ROOT))
        for app in APPS
        for path in (ROOT / app).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files = {name for name in packed if not name.endswith("/")}
    assert wanted - files == set()
    others = {name for name in files if Path(name).parts[0] not in APPS}
    assert {Path(name).parts[0].rpartition(".")[2] for name in others} == {"dist-info"}


def test_the_sdist_has_what_a_wheel_is_built_of(packed: set[str], tmp_path: Path) -> None:
    archive = build(tmp_path / "sdist", "--sdist")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    source = tmp_path / archive.name.removesuffix(".tar.gz")
    for name in ("README.md", "LICENSE", "pyproject.toml"):
        assert (source / name).is_file(), name
    wheel = build(tmp_path / "wheel", "--wheel", source=source)
    assert set(zipfile.ZipFile(wheel).namelist()) == packed


def test_what_people_see_and_the_database_needs_is_in_it(packed: set[str]) -> None:
    for wanted in (
        "bc_consumer/templates/bc_consumer/today.html",
        "bc_consumer/static/bc_consumer/page.css",
        "bc_consumer/locale/fr/LC_MESSAGES/django.mo",
        "bc_consumer/migrations/0001_initial.py",
        "odoo_webhook/urls.py",
    ):
        assert wanted in packed


def test_one_version_is_told_everywhere() -> None:
    version = PYPROJECT["project"]["version"]
    assert bc_consumer.__version__ == version
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+) – (\S+)$", changes, re.MULTILINE)
    assert released[0][0] == version
    for _version, day in released:
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", day), "a release has a day"
    for name in ("upgrade", "deployment"):
        assert f"/releases/{version}" in (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
