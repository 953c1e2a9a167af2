"""Four calls at once keep far below 512 MiB, whatever their answers are made of: real processes."""

from __future__ import annotations

import json
import subprocess
import sys
import xmlrpc.client
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bc_consumer.fields.table import TABLES
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import OdooProtocolError, ResponseTooLarge
from bc_consumer.odoo.json_codec import read_json
from bc_consumer.odoo.memory_estimate import TIMES, check_memory, memory_of
from bc_consumer.odoo.xmlrpc_codec import read_response
from tests.unit.odoo.serving import CAPTURES, Incoming, RawServer, http, rpc

ROOT = Path(__file__).resolve().parents[3]
LONGEST = OdooSettings("https://odoo.example.com", "shop", "admin", "x").max_response_bytes
PROCESS_MIB = 100
"""A worker with Django, idle, on PostgreSQL (measured: 85 MiB)."""
ALLOWED_MIB = 512 - PROCESS_MIB

pytestmark = pytest.mark.slow(
    "measures the memory of processes of its own, each with large answers"
)

Make = Callable[[int], str]


def xml(values: str) -> str:
    head = "<?xml version='1.0'?><methodResponse><params><param><value><array><data>"
    return f"{head}{values}</data></array></value></param></params></methodResponse>"


IN_JSON: Mapping[str, Make] = {
    "empty lists": lambda n: "[" + "[]," * n + "0]",
    "empty objects": lambda n: "[" + "{}," * n + "0]",
    "lists of one": lambda n: "[" + "[0]," * n + "0]",
    "objects of one": lambda n: "[" + "".join(f'{{"{i}":0}},' for i in range(n)) + "0]",
    "one object": lambda n: "[{" + ",".join(f'"{i}":0' for i in range(n)) + "}]",
    "short texts": lambda n: "[" + '"é😀",' * n + "0]",
    "one text": lambda n: '["' + "a" * n + '😀"]',
    "one escaped text": lambda n: '["' + "a" * n + '\\ud83d\\ude00"]',
    "nested deeply": lambda n: "[" + ",".join(["[" * 300 + "]" * 300] * (n // 600)) + "]",
}
IN_XML: Mapping[str, Make] = {
    "empty lists": lambda n: xml("<value><array><data/></array></value>" * n),
    "empty objects": lambda n: xml("<value><struct/></value>" * n),
    "objects of one": lambda n: xml(
        "".join(
            f"<value><struct><member><name>{i}</name><value/></member></struct></value>"
            for i in range(n)
        )
    ),
    "one object": lambda n: xml(
        "<value><struct>"
        + "".join(f"<member><name>{i}</name><value/></member>" for i in range(n))
        + "</struct></value>"
    ),
    "short texts": lambda n: xml("<value>é😀</value>" * n),
    "one text": lambda n: xml("<value>" + ("a" * 8000 + "😀") * (n // 8000) + "</value>"),
    "tags in a text": lambda n: xml(f"<value><![CDATA[{'</member>' * n}]]>😀</value>"),
    "nested deeply": lambda n: xml(
        ("<value><array><data>" * 60 + "</data></array></value>" * 60) * (n // 2000)
    ),
}
CASES = [
    *(("json2", name, make) for name, make in IN_JSON.items()),
    *(("xmlrpc", name, make) for name, make in IN_XML.items()),
]


def largest(make: Make) -> bytes:
    """Return the largest text of this kind that is decoded at all."""
    tried = make(20_000).encode()
    number = 20_000 * min(LONGEST / len(tried), TIMES * LONGEST / memory_of(tried))
    while True:
        body = make(int(number)).encode()
        if len(body) <= LONGEST and memory_of(body) <= TIMES * LONGEST:
            return body
        number *= 0.97


def four_calls(body: bytes, transport: str) -> dict[str, Any]:
    """Let a process of its own have this answer four times at once."""

    def respond(incoming: Incoming) -> bytes:
        if "common" in incoming.path:
            return rpc(2)
        return http(body, 200, "application/json" if transport == "json2" else "text/xml")

    with RawServer(respond) as server:
        done = subprocess.run(
            [sys.executable, "-m", "tests.unit.odoo.memory_of_calls", server.url, transport],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    assert len(told["outcomes"]) == 4
    print(f"{transport}: {len(body) / 2**20:.1f} MiB, {told}")
    return told


@pytest.mark.parametrize(("transport", "name", "make"), CASES, ids=lambda case: str(case)[:20])
def test_four_of_the_worst_answers(transport: str, name: str, make: Make) -> None:
    told = four_calls(largest(make), transport)
    assert all(outcome.startswith("list of") for outcome in told["outcomes"]), name
    assert told["peak"] < ALLOWED_MIB


@pytest.mark.parametrize(
    ("transport", "made"),
    [
        ("json2", lambda: b"[" + b"[]," * (LONGEST // 3 - 1) + b"0]"),
        ("json2", lambda: b"[" + b"{}," * (LONGEST * 4 // 3) + b"0]"),
        ("json2", lambda: b"[" * (LONGEST - 1)),
        ("xmlrpc", lambda: xml("<value/>" * (LONGEST // 9)).encode()),
        ("xmlrpc", lambda: xml("<value>a</value>" * (LONGEST // 4)).encode()),
    ],
    ids=["16 MiB of lists", "64 MiB of objects", "brackets", "values", "64 MiB of values"],
)
def test_more_than_that_is_refused_before_it_is_decoded(
    transport: str, made: Callable[[], bytes]
) -> None:
    told = four_calls(made(), transport)
    assert all(outcome.startswith("ResponseTooLarge") for outcome in told["outcomes"])
    assert told["peak"] < told["before"] + 4 * 2 * LONGEST / 2**20 + 20


def test_tags_with_attributes_take_no_memory_either() -> None:
    attributes = "".join(f' a{number}=""' for number in range(LONGEST // 12))
    told = four_calls(xml(f"<value{attributes}/>").encode(), "xmlrpc")
    assert all("a tag of more than" in outcome for outcome in told["outcomes"])
    assert told["peak"] < told["before"] + 4 * 2 * LONGEST / 2**20 + 20


def test_a_tag_that_ends_in_another_piece_is_read() -> None:
    for blanks in range(65_300, 65_700, 7):
        assert read_response(xml(" " * blanks + "<value>x</value>" * 9).encode()) == ["x"] * 9
    with pytest.raises(OdooProtocolError):
        read_response(b"<methodResponse><!--" + b"x" * 500_000)


# --- honest answers ------------------------------------------------------------------------------


def page(orders: int, lines: int, note: str) -> list[dict[str, Any]]:
    """Make a page of orders as a real Odoo 19 gives them, with so many lines each."""
    (found,) = json.loads((CAPTURES / "19_demo_orders.json").read_text())["purchase.order"][:1]
    table = TABLES["purchase.order"]
    asked = {name for field in table.order for name in field.odoo_names} | {"id", "order_line"}
    asked_of_lines = {name for field in table.line for name in field.odoo_names} | {"id"}
    found = {name: value for name, value in found.items() if name in asked}
    line = {name: value for name, value in found["order_line"][0].items() if name in asked_of_lines}
    found |= {"order_line": [{**line, "name": f"{line['name']} {note}"}] * lines}
    return [found] * orders


@pytest.mark.parametrize("note", ["", "é – ☎", "😀"])
@pytest.mark.parametrize("lines", [5, 10])  # 2,500 and 5,000 of them
def test_a_page_of_500_large_orders_passes(lines: int, note: str) -> None:
    records = page(500, lines, note)
    for body in (
        json.dumps(records).encode(),
        json.dumps(records, ensure_ascii=False).encode(),
        xmlrpc.client.dumps((records,), methodresponse=True, allow_none=True).encode(),
    ):
        print(f"{len(body) / 2**20:.1f} MiB, weight {memory_of(body) / 2**20:.0f} MiB")
        if lines == 5:
            assert memory_of(body) < 0.6 * TIMES * LONGEST
        check_memory(body, LONGEST)
        assert len(body) < LONGEST


def test_a_limit_that_is_raised_lets_more_pass() -> None:
    body = b"[" + b"[]," * 600_000 + b"0]"
    with pytest.raises(ResponseTooLarge, match="ODOO_MAX_RESPONSE_BYTES"):
        check_memory(body, LONGEST)
    check_memory(body, 2 * LONGEST)
    assert len(read_json(body)) == 600_001
