"""The house: rooms by role, arrows that only point down, a drawing that is the rules' own list."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "bc_consumer"
MOST_ROOMS, MOST_FLOORS, MOST_ARROWS = 20, 10, 85
NAMED_BY_DJANGO = {"admin", "apps", "models", "urls", "page_limits"}
NAMED_BY_DRAMATIQ = {"actors"}
NAMED_BY_APPLICATIONS = {"conf", "models", "redaction", "signals", "web_process"}
NO_ROOMS = {"locale", "migrations", "static", "templates", "__pycache__"}


@cache
def layers() -> list[list[str]]:
    """The rooms as import-linter has them, from the top, without the package's name."""
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (found,) = [rule["layers"] for rule in rules["contracts"] if rule["type"] == "layers"]
    return [[name.strip().removeprefix("bc_consumer.") for name in one.split("|")] for one in found]


def rooms() -> set[str]:
    return {path.name for path in APP.iterdir() if path.is_dir() and path.name not in NO_ROOMS}


@cache
def arrows() -> set[tuple[str, str]]:
    """Which room, or module at the root, imports which other."""
    found = set()
    for path in APP.rglob("*.py"):
        inside = path.relative_to(APP)
        place = inside.parts[0].removesuffix(".py")
        if place in NO_ROOMS or place == "__init__":
            continue
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "bc_consumer" and len(parts) > 1 and parts[1] != place:
                found.add((place, parts[1]))
    return found


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "bc_consumer":
            names.update(f"bc_consumer.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_the_drawing_is_the_rules_own_list() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    (drawn,) = re.findall(r"```\n(odoo_webhook · .*?)\n```", text, re.DOTALL)
    assert [line.split(" · ") for line in drawn.splitlines()] == layers()


def test_every_room_and_every_module_at_the_root_has_its_floor() -> None:
    at_the_root = {path.stem for path in APP.glob("*.py")} - {"__init__"}
    placed = {name for layer in layers() for name in layer} - {"odoo_webhook"}
    assert placed == rooms() | at_the_root


def test_every_module_is_named_with_its_room() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)/` \| (.*)$", text, re.MULTILINE))
    told["odoo"] = text.partition("### bc_consumer/odoo")[2].partition("\n### ")[0]
    told["odoo_webhook"] = told["project"] = text.partition("### The rest")[2].partition("\n## ")[0]
    folders = [APP / room for room in rooms() - {"templatetags"}]
    for folder in (*folders, ROOT / "odoo_webhook", ROOT / "project"):
        for path in folder.iterdir():
            if (path / "__init__.py").exists():  # commands, versions of Odoo: one name for all
                names = {f"`{path.name}/`"}
            elif path.suffix == ".py" and path.name != "__init__.py":
                names = {f"`{path.stem}`", f"`{path.name}`"}
            else:
                continue
            named = any(name in told[folder.name] for name in names)
            assert named, f"docs/architecture.md: {path.relative_to(ROOT)}"


def test_no_room_s_list_names_a_module_that_is_gone() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    for room, told in re.findall(r"^\| `(\w+)/` \| [^|]* \| (.*) \|$", text, re.MULTILINE):
        for name in set(re.findall(r"`([a-z_]+)`", told)):
            assert (APP / room / f"{name}.py").is_file(), f"docs/architecture.md: {room}/{name}"


def test_the_documents_name_modules_that_there_are() -> None:
    of_a_room = re.compile(rf"`((?:bc_consumer/)?(?:{'|'.join(rooms())})/[\w/]+\.py)`")
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        if page.name == "CHANGELOG.md":  # as they were called then
            continue
        for name in of_a_room.findall(page.read_text()):
            assert (APP / name.removeprefix("bc_consumer/")).is_file(), f"{page.name}: {name}"


def test_the_house_stays_small() -> None:
    below = defaultdict(set)
    for upper, lower in arrows():
        below[upper].add(lower)

    def floor(place: str) -> int:
        return 1 + max((floor(lower) for lower in below[place]), default=0)

    assert len(rooms()) <= MOST_ROOMS
    assert len(arrows()) <= MOST_ARROWS
    assert max(floor(place) for place in rooms()) <= MOST_FLOORS


def test_at_the_root_stands_only_what_others_look_up_there() -> None:
    at_the_root = {path.stem for path in APP.glob("*.py")} - {"__init__"}
    assert at_the_root <= NAMED_BY_DJANGO | NAMED_BY_DRAMATIQ | NAMED_BY_APPLICATIONS


def test_every_room_says_its_job_who_may_import_it_and_where_to_start() -> None:
    for room in sorted(rooms() - {"templatetags"}):
        said = ast.get_docstring(ast.parse((APP / room / "__init__.py").read_text())) or ""
        lines = [line for line in said.splitlines() if line]
        assert 3 <= len(lines) <= 6, room
        assert "may " in said.lower(), f"{room}: who may import it"
        assert "Start with" in said, f"{room}: where to start reading"
