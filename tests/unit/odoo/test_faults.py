"""Which error each of Odoo's faults is: the captured ones, and those that come with trouble."""

import pytest

from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import (
    OdooAccessError,
    OdooError,
    OdooFault,
    OdooUnavailable,
    UnknownField,
    UnknownMethod,
    WrongCredentials,
    WrongDatabase,
    WrongLanguage,
)
from bc_consumer.odoo.fault_errors import (
    Call,
    Fault,
    error_of_common,
    error_of_execute,
    is_none_result,
)
from bc_consumer.odoo.xmlrpc_codec import read_response
from tests.unit.odoo.serving import captured

SETTINGS = OdooSettings("https://odoo.example.com", "shop", "copy", "s3cret-api-key")
READ = Call("purchase.order", "web_search_read")


def captured_fault(name: str) -> Fault:
    with pytest.raises(Fault) as caught:
        read_response(captured(name))
    return caught.value


def executed(fault: Fault) -> OdooError:
    return error_of_execute(fault, READ, SETTINGS)


@pytest.mark.parametrize(
    ("name", "kind", "code", "message"),
    [
        ("17_07_write_missing_fault.txt", OdooFault, 2, "Record does not exist"),
        ("17_08_unknown_field_fault.txt", UnknownField, 1, "Invalid field 'nope_field'"),
        ("17_09_unknown_model_fault.txt", OdooFault, 2, "Object nope.model doesn't exist"),
        ("17_12_access_error_fault.txt", OdooAccessError, 4, "You are not allowed"),
        ("17_17_other_company_read_fault.txt", OdooAccessError, 4, "top-secret records"),
    ],
)
def test_captured_faults(name: str, kind: type[OdooFault], code: int, message: str) -> None:
    error = executed(captured_fault(name))
    assert type(error) is kind
    assert isinstance(error, OdooFault)
    assert error.code == code
    assert message in error.message
    assert (error.model, error.method) == ("purchase.order", "web_search_read")
    assert ("Traceback" in error.traceback) == (code == 1)
    assert "Traceback" not in str(error)


def test_a_wrong_password_says_what_to_correct() -> None:
    error = executed(captured_fault("17_04_execute_wrong_password_fault.txt"))
    assert isinstance(error, WrongCredentials)
    assert "«copy»" in str(error)
    assert "ODOO_PASSWORD" in str(error)


def test_a_language_that_odoo_has_not_says_what_to_correct() -> None:
    error = executed(Fault(2, "Invalid language code: xx_XX"))
    assert isinstance(error, WrongLanguage)
    assert "«xx_XX»" in str(error)
    assert "ODOO_LANGUAGE" in str(error)
    assert isinstance(executed(Fault(2, "Invalid language code: of a product")), OdooFault)


@pytest.mark.parametrize("name", ["17_18_none_result_fault.txt", "19_18_none_result_fault.txt"])
def test_a_method_without_a_result_has_worked(name: str) -> None:
    assert is_none_result(captured_fault(name))


@pytest.mark.parametrize(
    ("text", "model", "field"),
    [
        ("ValueError: Invalid field 'x_a' on model 'purchase.order'", "purchase.order", "x_a"),
        ("ValueError: Invalid field 'x_a' on 'purchase.order.line'", "purchase.order.line", "x_a"),
        ("ValueError: Invalid field purchase.order.x_a in leaf (…)", "purchase.order", "x_a"),
    ],
)
def test_an_unknown_field_is_named(text: str, model: str, field: str) -> None:
    error = executed(Fault(1, f"Traceback …\n{text}\n"))
    assert isinstance(error, UnknownField)
    assert (error.unknown_model, error.field) == (model, field)


@pytest.mark.parametrize(
    "text",
    [
        "AttributeError: type object 'purchase.order' has no attribute 'web_search_read'",
        "AttributeError: The method 'purchase.order.web_search_read' does not exist",
        "TypeError: Base.web_search_read() got an unexpected keyword argument 'specification'",
    ],
)
def test_a_method_that_an_older_odoo_lacks_is_recognised(text: str) -> None:
    assert isinstance(executed(Fault(1, text)), UnknownMethod)


@pytest.mark.parametrize(
    "text",
    [
        "AttributeError: 'NoneType' object has no attribute 'rounding'",
        "ZeroDivisionError: float division by zero",
        'psycopg2.OperationalError: connection to server at "db" failed: Connection refused',
        "KeyError: 'registry'",
        "",
    ],
)
def test_anything_else_stays_a_plain_fault(text: str) -> None:
    error = executed(Fault(1, text))
    assert type(error) is OdooFault


DOES_NOT_EXIST = 'psycopg2.OperationalError: connection to server at "db" failed: FATAL:  database '


@pytest.mark.parametrize(
    "text",
    [
        "Traceback …\n  File \"/opt/odoo/modules/registry.py\", line 1\nKeyError: 'shop'\n",
        f'{DOES_NOT_EXIST}"shop" does not exist\n',
        "psycopg2.OperationalError: FATAL:  la base de données « shop » n'existe pas\n",
    ],
)
def test_a_database_that_is_not_there_is_refused(text: str) -> None:
    for error in (error_of_common(Fault(1, text), SETTINGS), executed(Fault(1, text))):
        assert isinstance(error, WrongDatabase)
        assert "«shop»" in str(error)
        assert "ODOO_DATABASE" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        'psycopg2.OperationalError: connection to server at "db" failed: Connection refused',
        "psycopg2.OperationalError: FATAL:  the database system is starting up",
        "psycopg2.OperationalError: FATAL:  sorry, too many clients already",
        "KeyError: 'other'",
    ],
)
def test_a_database_that_is_down_is_no_reason_to_give_up(text: str) -> None:
    assert isinstance(error_of_common(Fault(1, text), SETTINGS), OdooUnavailable)


def test_the_password_is_taken_out_of_what_odoo_says() -> None:
    for error in (
        executed(Fault(1, "Traceback: s3cret-api-key\nValueError: s3cret-api-key")),
        executed(Fault(2, "No s3cret-api-key here")),
        error_of_common(Fault(1, "ValueError: s3cret-api-key"), SETTINGS),
    ):
        assert "s3cret" not in str(error)
        assert "s3cret" not in getattr(error, "traceback", "")


def test_codes_of_the_old_endpoints_are_understood() -> None:
    assert isinstance(executed(Fault("AccessDenied", "Access Denied")), WrongCredentials)
    assert isinstance(executed(Fault("AccessError", "No")), OdooAccessError)
    assert type(executed(Fault("warning -- UserError", "No"))) is OdooFault
