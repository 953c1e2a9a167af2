"""docs/public-names.md has what applications may import; examples and documents use no other."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest
from django.apps import apps

from bc_consumer import conf
from bc_consumer.models import BC, BCQuerySet, OdooRecord
from tests import documents
from tests.documents import ROOT
from tests.unit.test_settings_documented import documented as documented_settings

PAGE = "public-names.md"
PACKAGES = ("bc_consumer", "odoo_webhook")
MODULES = (
    "bc_consumer.models", "bc_consumer.signals", "bc_consumer.redaction",
    "bc_consumer.web_process", "bc_consumer.page_limits",
)  # fmt: skip
"""The modules whose ``__all__`` is the list of their public names."""
ONE_NAME = "bc_consumer.core.database_deadline"
"""A module of the house, of which one name is public."""


def told(heading: str, *firsts: str) -> list[str]:
    """Return the names of the section's tables with one of these first columns."""
    return [
        row[0].strip("`")
        for table in documents.tables(documents.section(documents.page(PAGE), heading))
        if table.header[0] in (firsts or ("name",))
        for row in table.rows
    ]


def promised() -> dict[str, set[str]]:
    """Return the promised names by module."""
    names = {module: set(told(module)) for module in (*MODULES, ONE_NAME)}
    names["bc_consumer.models"] -= set(told("On an order"))
    names["bc_consumer.conf"] = set(told("bc_consumer.conf")) | set(documented_settings()) | {"*"}
    return names


@pytest.mark.parametrize("module", MODULES)
def test_each_module_s_names_are_documented_and_no_other(module: str) -> None:
    public = importlib.import_module(module).__all__
    names = [name for name in told(module, "name", "not promised") if "." not in name]
    assert len(set(names)) == len(names), "a name is there twice"
    assert set(public) - set(names) == set(), f"add these to docs/{PAGE}"
    assert set(names) - set(public) == set(), f"{module} has no such names"


def test_every_module_with_public_names_has_a_section() -> None:
    sections = [one for one in documents.headings(documents.page(PAGE)) if one.startswith("bc_")]
    assert sections == [*MODULES[:2], "bc_consumer.conf", *MODULES[2:], ONE_NAME]


def test_the_settings_helper_brings_settings_and_what_is_listed() -> None:
    brought = {name for name in vars(conf) if not name.startswith("_")}
    listed = set(told("bc_consumer.conf"))
    assert brought - set(documented_settings()) == listed
    assert brought - listed <= set(documented_settings())


def test_what_an_order_offers_is_documented_and_no_other() -> None:
    queries = {
        f"BC.objects.{name}({', '.join(list(inspect.signature(function).parameters)[1:])})"
        for name, function in vars(BCQuerySet).items()
        if isinstance(function, FunctionType) and not name.startswith("_")
    }
    properties = {f"bc.{name}" for name, value in vars(BC).items() if isinstance(value, property)}
    related = {f"bc.{one.get_accessor_name()}" for one in BC._meta.related_objects}
    assert set(told("On an order")) == queries | properties | related


def test_names_in_settings_and_addresses_are_there() -> None:
    for name in told("Named in settings and addresses"):
        module, _dot, attribute = name.rpartition(".")
        if attribute[:1].isupper():
            assert hasattr(importlib.import_module(module), attribute)
        else:
            importlib.import_module(name)


def test_the_tables_are_there() -> None:
    ours = {model._meta.db_table for model in apps.get_app_config("bc_consumer").get_models()}
    assert set(told("Tables", "table")) <= ours
    for path in documents.everywhere():
        for span in documents.spans(path.read_text(encoding="utf-8")):
            if found := re.fullmatch(r"(bc_consumer_[a-z]+)(\.\w+)?", span):
                assert found[1] in ours, f"{documents.place(path)}: there is no table {span}"


# --- who uses them ------------------------------------------------------------------------------


def imported(code: str) -> Iterator[tuple[str, str]]:
    """Yield what is imported of our packages, as module and name; code may leave things out."""
    imports = re.findall(r"^ *((?:from|import) [^(\n]+(?:\([^)]*\))?)", code, re.MULTILINE)
    for node in ast.walk(ast.parse("\n".join(imports))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] in PACKAGES:
                yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((one.name, "") for one in node.names if one.name.split(".")[0] in PACKAGES)


def code_for_applications() -> Iterator[tuple[str, str]]:
    """Yield the example's modules and the documents' Python code, each with its place."""
    for path in sorted((ROOT / "examples").rglob("*.py")):
        yield documents.place(path), path.read_text(encoding="utf-8")
    for path in documents.everywhere():
        if path.name == "tutorial.md":
            continue  # it changes the product itself
        for block in documents.fences(path.read_text(encoding="utf-8"), ["python"]):
            yield documents.place(path), block


def test_examples_and_documents_import_public_names_alone() -> None:
    used = set()
    for place, code in code_for_applications():
        for module, name in imported(code):
            assert name in promised().get(module, set()), f"{place}: {module}.{name} is not public"
            used.add((module, name))
    assert len(used) > 4, "the search for imports finds hardly any: has it broken?"


def test_the_example_names_public_names_alone() -> None:
    named = set(told("Named in settings and addresses"))
    known = named | {f"{module}.{name}" for module, names in promised().items() for name in names}
    for path in sorted((ROOT / "examples").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = str(node.value) if isinstance(node, ast.Constant) else ""
            if re.fullmatch(r"(bc_consumer|odoo_webhook)[\w.]*", text):
                assert text in known, f"{documents.place(path)}: {text}"


# --- their types --------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_are_typed(package: str) -> None:
    assert (Path(str(importlib.import_module(package).__file__)).parent / "py.typed").is_file()


def functions() -> Iterator[tuple[str, FunctionType]]:
    """Yield the public functions, and the public methods of public classes of ours."""
    for module, names in promised().items():
        for name in sorted(names & set(vars(importlib.import_module(module)))):
            value = getattr(importlib.import_module(module), name)
            if inspect.isfunction(value):
                yield f"{module}.{name}", inspect.unwrap(value)
            elif inspect.isclass(value) and value is not OdooRecord:
                for method, found in vars(value).items():
                    inner = found.fget if isinstance(found, property) else found
                    if not isinstance(inner, FunctionType) or re.match("_[a-z]", method):
                        continue
                    if inner.__module__.startswith(PACKAGES):
                        yield f"{module}.{name}.{method}", inner


def test_public_functions_are_annotated() -> None:
    found = dict(functions())
    assert len(found) >= 10, "the search for functions finds hardly any: has it broken?"
    for name, function in found.items():
        signature = inspect.signature(function)
        first = next(iter(signature.parameters), "")
        lacking = {
            one.name
            for one in signature.parameters.values()
            if one.annotation is one.empty and not (one.name == first == "self")
        }
        assert not lacking, f"{name}: annotate {lacking}"
        assert signature.return_annotation is not signature.empty, f"{name}: what does it return?"
        assert function.__doc__ or name.endswith("__"), f"{name} has no docstring"
