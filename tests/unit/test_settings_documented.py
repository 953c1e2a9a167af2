"""Every variable that the code reads is in docs/settings.md and .env.example, and no other is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dotenv import dotenv_values

from bc_consumer import conf
from tests import documents

ROOT = Path(__file__).resolve().parents[2]
READERS = frozenset(
    {
        "text",
        "required",
        "flag",
        "number",
        "integer",
        "words",
        "integers",
        "literal",
        "numbers",
        "choice",
        "url",
        "urls",
        "time_of_day",
        "working_hours",
    }
)
# Read by ./start, which has to run before Django's settings can be read.
READ_DIRECTLY = frozenset({"DJANGO_SUPERUSER_PASSWORD"})
COMPOSE_VARIABLE = re.compile(r"\$\{([A-Z_]+)")
EXAMPLE_LINE = re.compile(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
SETTINGS_ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \| ([^|]*) \|", re.MULTILINE)
NAME = re.compile(r"([A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])(=.*)?")
OTHERS = {"PRECONDITION_FAILED", "SECURE_CSP", "TIMEOUT_MS"}
"""Of RabbitMQ, a later Django, and libcurl."""
UNKNOWN = object()
"""The default of a variable whose default is worked out."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One reading of a variable in the code."""

    name: str
    default: object
    where: str


def variables_read() -> Iterator[Variable]:
    files = [*ROOT.glob("project/**/*.py"), *ROOT.glob("bc_consumer/**/*.py")]
    for file in [*files, *ROOT.glob("odoo_webhook/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if is_reading(node):
                assert isinstance(node, ast.Call)
                yield Variable(
                    str(ast.literal_eval(node.args[0])),
                    default_of(node),
                    f"{file.relative_to(ROOT)}:{node.lineno}",
                )


def is_reading(node: ast.AST) -> bool:
    """Whether it is ``env.<reader>("NAME", …)``; conf.py, which is imported whole, has ``_env``."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"env", "_env"}
        and node.func.attr in READERS
    )


def default_of(call: ast.Call) -> object:
    """Return the default as it would be written in an environment, or UNKNOWN."""
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr == "required":
        return ""
    position = 2 if call.func.attr == "url" else 1
    if len(call.args) <= position:
        return ""
    value = folded(call.args[position])
    return str(int(value)) if isinstance(value, bool) else value if value is UNKNOWN else str(value)


def folded(node: ast.expr) -> object:
    """Work out a literal, or ``a * b`` and ``a**b`` of literals; anything else is UNKNOWN."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.BinOp):
        left, right = folded(node.left), folded(node.right)
        if isinstance(left, int) and isinstance(right, int):
            if isinstance(node.op, ast.Mult):
                return left * right
            if isinstance(node.op, ast.Pow):
                return left**right
    return UNKNOWN


def names_in_compose() -> set[str]:
    return set(COMPOSE_VARIABLE.findall((ROOT / "docker-compose.yml").read_text()))


def example() -> dict[str, str]:
    found = EXAMPLE_LINE.findall((ROOT / ".env.example").read_text(encoding="utf-8"))
    names = [name for name, _ in found]
    assert len(names) == len(set(names)), f"twice in .env.example: {sorted(names)}"
    return dict(found)


def documented() -> dict[str, str]:
    rows = SETTINGS_ROW.findall(documents.page("settings.md"))
    names = [name for name, _ in rows]
    assert len(names) == len(set(names)), f"twice in docs/settings.md: {sorted(names)}"
    return dict(rows)


@pytest.fixture(scope="module")
def read() -> list[Variable]:
    variables = list(variables_read())
    assert len(variables) > 40, "the search for variables finds hardly any: has it broken?"
    return variables


@pytest.mark.parametrize("where", ["docs/settings.md", ".env.example"])
def test_every_variable_is_documented_and_no_other(read: list[Variable], where: str) -> None:
    names = set(documented() if where == "docs/settings.md" else example())
    wanted = {variable.name for variable in read} | names_in_compose() | READ_DIRECTLY
    assert wanted - names == set(), f"add these to {where}"
    assert names - wanted == set(), f"nothing reads these any more: remove them from {where}"


def test_documented_defaults_are_the_code_s(read: list[Variable]) -> None:
    told = documented()
    written = example()
    for variable in read:
        if variable.default is UNKNOWN:
            continue
        default = str(variable.default)
        assert written[variable.name] in {default, ""}, f".env.example, {variable}"
        cell = told[variable.name]
        if default:
            # HOST has two: that of the web command, and that of ./start.
            assert f"`{default}`" in cell, f"docs/settings.md, {variable}: {cell}"
        else:
            assert "`" not in cell or variable.name == "DATABASE_URL", f"{variable}: {cell}"


def test_the_example_reads_as_a_file_of_settings() -> None:
    values = dotenv_values(ROOT / ".env.example")
    assert values["SECRET_KEY"] == ""
    assert set(values) <= set(example())
    assert all(value == "" for value in values.values()), "what is not commented is to be filled in"


def test_every_setting_of_the_apps_is_read_from_the_variable_of_its_name(
    read: list[Variable],
) -> None:
    """So that a page or an error which names a setting names its variable."""
    names = {variable.name for variable in read}
    for_libraries = ("DRAMATIQ_", "DEFAULT_", "POSTGRESQL_OPTIONS", "SQLITE_OPTIONS")
    settings = {name for name in vars(conf) if name.isupper() and not name.startswith("_")}
    assert {name for name in settings - names if not name.startswith(for_libraries)} == set()


@pytest.mark.parametrize("path", documents.everywhere(), ids=documents.place)
def test_documents_name_variables_that_there_are(path: Path) -> None:
    """A setting, or a name in the code: a variable of the tests, a setting of Django's."""
    text = path.read_text(encoding="utf-8")
    lines = [line.lstrip("# ") for block in documents.fences(text) for line in block.splitlines()]
    known = set(documented()) | documents.words_of_the_code() | OTHERS
    for code in [*documents.spans(text), *lines]:
        if found := NAME.fullmatch(code.removeprefix("export ")):
            assert found[1] in known, f"nothing reads {found[1]}"
