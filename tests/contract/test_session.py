"""Versions, logging in, and which fault tells what."""

import pytest

from bc_consumer.odoo import (
    OdooAccessError,
    UnknownField,
    UnknownMethod,
    WrongCredentials,
    WrongDatabase,
    WrongLanguage,
)
from tests.contract.target import (
    GONE_ID,
    LINE,
    NAMES,
    ONE_CALL,
    ORDER,
    REAL,
    Target,
    fault_code_of,
    unique,
)


def test_a_real_odoo_was_among_the_checked() -> None:
    if not REAL:
        pytest.skip(f"the simulator alone was checked; for a real Odoo set {', '.join(NAMES)}")


def test_the_version_is_told_without_an_account(target: Target) -> None:
    version = target.gateway(database="nowhere", login="", password="x").version()
    assert version.major >= 14
    assert str(version.major) in version.text


def test_the_clock_in_the_answer_s_header_is_that_of_the_write_dates(target: Target) -> None:
    before = target.odoo.server_time().strftime("%Y-%m-%d %H:%M:%S")
    written = target.read(target.create(), "write_date")["write_date"]
    target.next_second()
    target.next_second()
    after = target.odoo.server_time().strftime("%Y-%m-%d %H:%M:%S")
    assert before <= written <= after


def test_a_wrong_password_is_told_apart(target: Target) -> None:
    with pytest.raises(WrongCredentials):
        target.gateway(password=unique()).ping()


def test_a_wrong_login_is_told_apart(target: Target) -> None:
    if target.transport == "json2":
        pytest.skip("a key needs no login")
    with pytest.raises(WrongCredentials):
        target.gateway(login=unique()).ping()


def test_a_wrong_database_is_told_apart(target: Target) -> None:
    with pytest.raises(WrongDatabase):
        target.gateway(database=f"db_{unique()}").ping()


def test_a_language_that_is_not_in_use_is_told_apart(target: Target) -> None:
    target.needs(18, "errors about languages")
    odoo = target.gateway(language="xx_XX")
    with pytest.raises(WrongLanguage):
        odoo.field_set()
    with pytest.raises(WrongLanguage):
        odoo.fetch([target.create()])


def test_up_to_17_another_language_gives_the_sources_texts(target: Target) -> None:
    """So nothing in an answer tells that it is not in use."""
    if target.major >= 18:
        pytest.skip("later versions refuse it")
    order_id = target.create(target.line())
    read = target.gateway(language="xx_XX").fetch([order_id]).orders[order_id]
    assert read == target.gateway(language="en_US").fetch([order_id]).orders[order_id]


def test_the_language_of_the_sources_always_works(target: Target) -> None:
    order_id = target.create()
    assert order_id in target.gateway(language="en_US").fetch([order_id]).orders


def test_the_languages_in_use_and_the_account_s_own_are_told(target: Target) -> None:
    languages = target.odoo.languages()
    assert list(languages) == sorted(languages)
    assert "xx_XX" not in languages
    assert target.odoo.account_language() in languages


def test_the_account_of_the_credentials_is_told(target: Target) -> None:
    assert target.odoo.account_login() == target.settings.login


def test_one_login_serves_many_calls(target: Target) -> None:
    odoo = target.gateway()
    for _ in range(3):
        odoo.ping()
    assert odoo.calls == (3 if target.transport == "json2" else 4)


def test_an_unknown_field_is_named_wherever_it_is_asked_for(target: Target) -> None:
    order_id = target.create(target.line())
    with pytest.raises(UnknownField) as caught:
        target.call(ORDER, "read", [order_id], fields=["x_no_such_field"])
    assert (caught.value.unknown_model, caught.value.field) == (ORDER, "x_no_such_field")
    with pytest.raises(UnknownField) as caught:
        target.call(ORDER, "search_read", [("id", "=", order_id)], fields=["x_no_such_field"])
    assert caught.value.field == "x_no_such_field"
    with pytest.raises(UnknownField) as caught:
        target.call(ORDER, "search", [("x_no_such_field", "=", 1)])
    assert caught.value.field == "x_no_such_field"


def test_an_unknown_field_of_lines_faults_the_whole_call(target: Target) -> None:
    target.needs(17, ONE_CALL)
    order_id = target.create(target.line())
    with pytest.raises(UnknownField) as caught:
        target.call(
            ORDER,
            "web_search_read",
            domain=[("id", "=", order_id)],
            specification={"order_line": {"fields": {"x_no_such_field": {}}}},
        )
    assert (caught.value.unknown_model, caught.value.field) == (LINE, "x_no_such_field")


def test_unknown_models_and_methods_are_told_apart(target: Target) -> None:
    assert fault_code_of(lambda: target.call("x.no.such.model", "search", [])) == 2
    with pytest.raises(UnknownMethod):
        target.call(ORDER, "x_no_such_method", [])


def test_writing_to_a_missing_order_is_a_fault_of_code_2(target: Target) -> None:
    assert fault_code_of(lambda: target.call(ORDER, "write", [GONE_ID], {"partner_ref": "x"})) == 2


def test_a_method_that_returns_nothing_has_been_committed(target: Target) -> None:
    order_id = target.create(target.line())
    assert target.call(ORDER, "button_cancel", [order_id]) in {None, True}
    assert target.read(order_id, "state")["state"] == "cancel"


def test_hidden_records_fault_a_read_and_are_left_out_of_a_search(target: Target) -> None:
    if target.simulator is None:
        pytest.skip("needs a record that this account may not read")
    seen, hidden = target.create(), target.create()
    target.simulator.faults.forbid([hidden])
    assert target.call(ORDER, "search", [("id", "in", [seen, hidden])]) == [seen]
    with pytest.raises(OdooAccessError):
        target.call(ORDER, "read", [seen, hidden], fields=["write_date"])
    with pytest.raises(OdooAccessError):
        target.call(ORDER, "read", [hidden], fields=["write_date"])
    target.needs(17, ONE_CALL)
    found = target.call(
        ORDER, "web_search_read", domain=[("id", "in", [seen, hidden])], specification={"name": {}}
    )
    assert [record["id"] for record in found["records"]] == [seen]
