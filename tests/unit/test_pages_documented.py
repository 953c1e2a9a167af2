"""docs/pages.md has every address and who may see it, and the documents name no other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from django.contrib.admin import site
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve

from tests import documents

PAGE = "pages.md"
PUBLIC = "staff; everybody with `LIVE_PAGE_PUBLIC`"
BY_DECORATOR = {
    "page": "staff",
    "public_page": PUBLIC,
    "staff_post_only": "staff with the permission",
}
WITHOUT_A_DECORATOR = {
    "/today/": PUBLIC,
    "/metrics": "whoever has `METRICS_TOKEN`",
    "/odoo/webhook/": "whoever has one of `ODOO_WEBHOOK_SECRETS`",
}
"""Their views decide it themselves; of all others without a decorator, everybody is let in."""
OTHERS = re.compile(
    r"/(admin|static|xmlrpc|jsonrpc|json|web|hooks|fail|path|etc|dev|tmp|srv|var|opt)\b"
)
"""Of Odoo, other programs, other projects, and the file system."""


@cache
def addresses() -> dict[str, Callable[..., Any]]:
    """Return our addresses with their views, as the document writes them; the administration's
    lists, and of the rest of it only ``/admin/``.
    """
    found = dict(_walk(get_resolver().url_patterns, "/"))
    lists = {
        f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in site._registry
    }
    return {
        address: view
        for address, view in found.items()
        if not address.startswith("/admin/") or address in {"/admin/"} | lists
    }


def _walk(
    patterns: list[URLPattern | URLResolver], before: str
) -> Iterator[tuple[str, Callable[..., Any]]]:
    for one in patterns:
        text = re.sub(r"<\w+:(\w+)>", r"<\1>", str(one.pattern))
        address = before + re.sub(r"^\^|\?\$$|\$$", "", text)
        if isinstance(one, URLResolver):
            yield from _walk(one.url_patterns, address)
        else:
            yield address, one.callback


def told() -> dict[str, str]:
    """Return who is let in, by address."""
    found: dict[str, str] = {}
    for table in documents.tables(documents.page(PAGE)):
        for address, who, what in table.rows:
            assert address.strip("`") not in found, f"{address} is there twice"
            assert what
            found[address.strip("`")] = who
    return found


def test_every_address_is_documented_and_no_other() -> None:
    assert set(addresses()) - set(told()) == set(), f"add these to docs/{PAGE}"
    assert set(told()) - set(addresses()) == set(), "there are no such addresses"


@pytest.mark.parametrize("address", [name for name in addresses() if "/admin/" not in name])
def test_the_document_says_who_is_let_in(address: str) -> None:
    view = inspect.unwrap(addresses()[address])
    above = inspect.getsource(view).partition("def ")[0]
    decorators = [
        BY_DECORATOR[name]
        for name in re.findall(r"^@(\w+)", above, re.MULTILINE)
        if name in BY_DECORATOR
    ]
    (wanted,) = decorators or [WITHOUT_A_DECORATOR.get(address, "everybody")]
    who = told()[address]
    assert who.startswith(wanted) if wanted == BY_DECORATOR["staff_post_only"] else who == wanted


def test_lists_of_the_administration_name_their_permission() -> None:
    for model in site._registry:
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        assert told()[address] == f"staff with `view_{model._meta.model_name}`"


def test_documents_name_addresses_that_there_are() -> None:
    for path in documents.everywhere():
        for span in documents.spans(path.read_text(encoding="utf-8")):
            if not re.fullmatch(r"/[a-z][\w./<>… -]*", span) or OTHERS.match(span):
                continue
            asked = re.sub(r"<[^>]*>|…", "1", span)
            known = is_there(asked) or is_there(f"{asked}/")
            assert known, f"{documents.place(path)}: there is no address {span}"


def is_there(address: str) -> bool:
    try:
        resolve(address)
    except Resolver404:
        return False
    return True
