"""What an Odoo 14 answered, and what is made of it: it lacks what later versions tell."""

import json
import xmlrpc.client
from typing import Any

import pytest

from bc_consumer.odoo import (
    CannotGroup,
    Listed,
    MissingEndpoint,
    OdooUnavailable,
    UnknownField,
    UnknownMethod,
)
from bc_consumer.odoo.fault_errors import Fault
from bc_consumer.odoo.grouping_methods import GroupLacksBounds, ReadGroup
from bc_consumer.odoo.records import Bucket
from bc_consumer.odoo.versions.before_17 import ReadGroupBefore17
from bc_consumer.odoo.xmlrpc_codec import read_response
from tests.unit.odoo.serving import (
    Incoming,
    TinyOdoo,
    captured,
    captured_answer,
    http,
    json_answer,
    serving,
)
from tests.unit.odoo.stamping import moment

NAMED, UNNAMED = "14_read_group_month_named_avg.txt", "14_read_group_month_avg.txt"
WITHOUT_METHOD = "AttributeError: type object 'purchase.order' has no attribute '{}'"


def execute_of_14(_model: str, method: str, _args: Any, kwargs: dict[str, Any]) -> Any:
    """Seven orders, and one line, of an Odoo 14."""
    if method == "read_group":
        return read_response(captured(UNNAMED if kwargs["fields"] == ["id:avg"] else NAMED))
    if method != "search_read":
        raise xmlrpc.client.Fault(1, WITHOUT_METHOD.format(method))
    if "load" not in kwargs:
        return [{"id": 4, "write_date": "2026-11-24 16:29:11", "order_id": [7, "P00007"]}]
    with pytest.raises(Fault) as caught:
        read_response(captured("14_search_read_load.txt"))
    raise xmlrpc.client.Fault(1, caught.value.text)


# --- counts and lists ---


def test_a_group_without_its_range_is_read_by_its_domain() -> None:
    [row] = read_response(captured(NAMED))
    group = ReadGroupBefore17().group(row, "month")
    assert group is not None
    assert (group.start, group.count, group.figure) == (moment("2026-11-01"), 7, 4.0)


def test_an_aggregate_that_is_called_id_is_left_out() -> None:
    [row] = read_response(captured(UNNAMED))
    with pytest.raises(GroupLacksBounds):
        ReadGroup().group(row, "month")


@pytest.mark.parametrize("transport", ["xmlrpc", "jsonrpc"])
def test_buckets_have_their_sums_all_the_same(transport: str) -> None:
    tiny = TinyOdoo(execute_of_14)
    bucket = Bucket(moment("2026-11-01"), moment("2026-12-01"), 7, 28)
    with serving(tiny.respond, transport=transport) as (_server, odoo):
        assert odoo.listing.order_buckets("month") == [bucket]
        tiny.calls.clear()
        assert odoo.listing.order_buckets("month") == [bucket]
    assert [call[1] for call in tiny.calls] == ["read_group"]  # the way is remembered


def test_groups_that_nothing_dates_are_none() -> None:
    def undated(model: str, method: str, args: Any, kwargs: dict[str, Any]) -> Any:
        rows = execute_of_14(model, method, args, kwargs)
        return [{**row, "__domain": []} for row in rows]

    with (
        serving(TinyOdoo(undated).respond) as (_server, odoo),
        pytest.raises(CannotGroup, match="ids have to be compared"),
    ):
        odoo.listing.order_buckets("month")


def test_lines_tell_their_order_where_names_cannot_be_left_out() -> None:
    tiny = TinyOdoo(execute_of_14)
    line = Listed(4, moment("2026-11-24 16:29:11"), 7)
    with serving(tiny.respond) as (_server, odoo):
        assert odoo.listing.lines(since=None, after_id=0, limit=10) == [line]
        tiny.calls.clear()
        assert odoo.listing.lines(since=None, after_id=0, limit=10) == [line]
    assert len(tiny.calls) == 1  # it isn't tried again


# --- protocols ---


def test_json_2_is_told_to_be_missing() -> None:
    status, body = captured_answer("14_json2_missing.txt")
    with (
        serving(lambda _incoming: json_answer(body, status), transport="json2") as (_server, odoo),
        pytest.raises(MissingEndpoint, match="from version 19 on"),
    ):
        odoo.ping()


def test_the_fault_of_a_server_with_one_database_is_read() -> None:
    _status, body = captured_answer("14_jsonrpc_fault_one_database.txt")

    def respond(incoming: Incoming) -> bytes:
        if b"execute_kw" in incoming.body:
            return json_answer(body)
        return TinyOdoo(execute_of_14).respond(incoming)

    with (
        serving(respond, transport="jsonrpc") as (_server, odoo),
        pytest.raises(UnknownField, match="nope"),
    ):
        odoo.call("purchase.order", "read", [[1]], {"fields": ["nope"]})


class ManyDatabases:
    """An Odoo 14 whose address leads to several databases; ``ill``: with a proxy out of order."""

    def __init__(self) -> None:
        self.tiny = TinyOdoo(execute_of_14)
        self.asked: list[str] = []
        self.ill = False

    def respond(self, incoming: Incoming) -> bytes:
        """Answer as the captured one did: whatever fails by JSON-RPC is a page."""
        if not incoming.path.endswith("/jsonrpc"):
            return self.tiny.respond(incoming) if "xmlrpc" in incoming.path else http(b"", 404)
        method = json.loads(incoming.body)["params"]["method"]
        self.asked.append(method)
        answer = http(b"", 404) if method == "no_such_method" else self.tiny.respond(incoming)
        if self.ill or b'"result"' not in answer:
            status, page = captured_answer("14_jsonrpc_fault_many_databases.txt")
            return http(page, status, "text/html")
        return answer


def test_hidden_errors_are_told_apart_from_an_ill_odoo() -> None:
    many = ManyDatabases()
    with serving(many.respond, transport="jsonrpc") as (_server, odoo):
        with pytest.raises(MissingEndpoint, match=r"several databases.*ODOO_TRANSPORT to xmlrpc"):
            odoo.call("purchase.order", "nope")
        many.asked.clear()
        with pytest.raises(MissingEndpoint):
            odoo.ping()
        assert odoo.version().major == 17
        assert many.asked == ["version"]  # no call whose failing could not be read


def test_rule_7_an_ill_odoo_is_not_taken_for_one_that_hides_errors() -> None:
    many = ManyDatabases()
    with serving(many.respond, transport="jsonrpc") as (_server, odoo):
        many.ill = True
        with pytest.raises(OdooUnavailable):
            odoo.ping()
        many.ill = False
        assert odoo.call("purchase.order", "search_read", [], {})


def test_auto_leaves_a_protocol_that_hides_errors() -> None:
    many = ManyDatabases()
    with serving(many.respond, transport="auto") as (_server, odoo):
        assert odoo.call("purchase.order", "search_read", [], {})
        assert odoo.transport == "jsonrpc"
        with pytest.raises(UnknownMethod):
            odoo.call("purchase.order", "nope")
        assert odoo.call("purchase.order", "search_read", [], {})
        assert odoo.transport == "xmlrpc"
