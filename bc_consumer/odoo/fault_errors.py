"""Odoo's faults → the errors of ``errors.py``: one table for all protocols.

Fault codes of /xmlrpc/2 (measured on Odoo 17, 18 and 19): 1 = any exception, with a Python
traceback whose last line is the error; 2 = UserError, MissingError, unknown model; 3 = access
denied; 4 = AccessError. The texts of 2 to 4 are translated and vary, so only their codes count;
the texts of 1 that are matched here are Python's or PostgreSQL's own. ``json_codec.py`` and
``json2.py`` convert the JSON protocols' errors to this form.
"""

import re
from dataclasses import dataclass

from bc_consumer.core.redactor import Redactor
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import (
    LONGEST_TEXT,
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

EXCEPTION, USER_ERROR, ACCESS_DENIED, ACCESS_ERROR = 1, 2, 3, 4
CODES_OF_OLD_ENDPOINTS = {"AccessDenied": ACCESS_DENIED, "AccessError": ACCESS_ERROR}

# ValueError: Invalid field 'x' on model 'purchase.order' (17, 18); … on 'purchase.order' (19)
FIELD_READ = re.compile(r"Invalid field '(?P<field>[^']+)' (?:on|in) (?:model )?'(?P<model>[^']+)'")
# ValueError: Invalid field purchase.order.x in leaf (…)
FIELD_IN_DOMAIN = re.compile(r"Invalid field (?P<model>[\w.]+)\.(?P<field>\w+) in ")

# AttributeError: type object 'purchase.order' has no attribute 'x', or "… does not exist". A
# TypeError about an argument is the answer of a method that has this name and takes other
# arguments, as ``web_search_read`` and ``search_read`` of old versions do (measured).
NO_ATTRIBUTE, WRONG_TYPE, NO_ARGUMENT = (
    "AttributeError", "TypeError: ", "unexpected keyword argument"
)  # fmt: skip

# A UserError that is never translated: there is no language to translate it to (measured on 19).
UNKNOWN_LANGUAGE = re.compile(r"Invalid language code: (?P<code>\S+)\s*")

# Characters that PostgreSQL, UTF-8 or a terminal can't handle, or that reverse the direction.
UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

# The method ran and was committed, and its result could not be sent (measured on 17, 18 and 19).
NONE_RESULT = "TypeError: cannot marshal None unless allow_none is enabled"


class Fault(Exception):
    """Odoo answered with a fault: a code (int, or text at the old path /xmlrpc) and a text."""

    def __init__(self, code: int | str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Call:
    """The model and method that were called, for error messages."""

    model: str
    method: str


def is_none_result(fault: Fault) -> bool:
    """Tell whether the method succeeded and returned None, which Odoo can't send."""
    return fault.code == EXCEPTION and last_line(fault.text) == NONE_RESULT


def error_of_execute(fault: Fault, call: Call, settings: OdooSettings) -> OdooError:
    """Return the error for a fault of a model's method."""
    text = clean_text(fault.text, settings)
    code = (
        CODES_OF_OLD_ENDPOINTS.get(fault.code, EXCEPTION)
        if isinstance(fault.code, str)
        else fault.code
    )
    if code == ACCESS_DENIED:
        return wrong_credentials(settings)
    if code == USER_ERROR and (found := UNKNOWN_LANGUAGE.fullmatch(text)):
        return wrong_language(found["code"], settings)
    if code == EXCEPTION and _names_missing_database(text, settings.database, "registry"):
        return wrong_database(settings)
    kind = OdooAccessError if code == ACCESS_ERROR else OdooFault
    error = kind(
        last_line(text) if code == EXCEPTION else text.strip(),
        code=code,
        traceback=text if code == EXCEPTION else "",
        model=call.model,
        method=call.method,
    )
    return _unknown_name(error) or error if code == EXCEPTION else error


def error_of_common(fault: Fault, settings: OdooSettings) -> OdooError:
    """Return the error for a fault of ``authenticate`` or ``version``: it concerns no order."""
    text = clean_text(fault.text, settings)
    if fault.code in {ACCESS_DENIED, "AccessDenied"}:
        return wrong_credentials(settings)
    if _names_missing_database(text, settings.database, ""):
        return wrong_database(settings)
    return OdooUnavailable(
        _(
            "Odoo at %(url)s can't log us in just now: %(text)s",
            url=settings.shown_url,
            text=last_line(text),
        )
    )


def wrong_credentials(settings: OdooSettings) -> WrongCredentials:
    """Return the error for a login or password that Odoo rejects, in a database it knows."""
    return WrongCredentials(
        _(
            'Odoo at %(url)s refused login "%(login)s" on database "%(database)s": wrong login,'
            " or wrong or expired password or API key. Correct %(login_name)s and "
            "%(password_name)s",
            url=settings.shown_url,
            login=settings.login,
            database=settings.database,
            login_name=settings.login_names[0],
            password_name=settings.login_names[1],
        )
    )


def no_api_key(settings: OdooSettings) -> WrongCredentials:
    """Return the error for an ODOO_PASSWORD that JSON-2 does not accept as an API key."""
    return WrongCredentials(
        _(
            'Odoo at %(url)s refused the API key on database "%(database)s": JSON-2 takes API '
            "keys only, no passwords, and only until they expire. Put a valid key into "
            "ODOO_PASSWORD, or set ODOO_TRANSPORT to auto",
            url=settings.shown_url,
            database=settings.database,
        )
    )


def wrong_database(settings: OdooSettings) -> WrongDatabase:
    """Return the error for a database that the server does not have."""
    return WrongDatabase(
        _(
            'Odoo at %(url)s has no database "%(database)s": correct ODOO_DATABASE (look at '
            "Odoo's database selector, or ask its administrator)",
            url=settings.shown_url,
            database=settings.database,
        )
    )


def wrong_language(code: str, settings: OdooSettings) -> WrongLanguage:
    """Return the error for a language that is not active: 18 and 19 refuse each call (measured).

    Earlier versions answer with the texts of the source code instead.
    """
    return WrongLanguage(
        _(
            'Odoo at %(url)s has no language "%(code)s", or no longer uses it: correct '
            "ODOO_LANGUAGE, or add the language in Odoo's settings",
            url=settings.shown_url,
            code=code,
        )
    )


def last_line(text: str) -> str:
    """Return the last line that is not empty, at most LONGEST_TEXT characters of it."""
    lines = text.strip().splitlines()
    return lines[-1][:LONGEST_TEXT] if lines else _("(no text)")


def clean_text(text: str, settings: OdooSettings) -> str:
    """Return Odoo's text without our secrets, and without characters that can't be stored.

    JSON carries NUL, terminal escape sequences and lone surrogates, which XML does not.
    """
    redactor = Redactor((settings.password, *settings.url_passwords))
    return UNFIT.sub("\ufffd", redactor.shortened(text).replace("\r\n", "\n"))


def _unknown_name(fault: OdooFault) -> OdooFault | None:
    """Return the error for a field or a method that this Odoo lacks; None for other faults."""
    found = FIELD_READ.search(fault.message) or FIELD_IN_DOMAIN.search(fault.message)
    if found:
        return UnknownField(
            fault.message, fault=fault, unknown_model=found["model"], field=found["field"]
        )
    no_method = fault.message.startswith(NO_ATTRIBUTE) or (
        fault.message.startswith(WRONG_TYPE) and NO_ARGUMENT in fault.message
    )
    if fault.method in fault.message and no_method:
        return UnknownMethod(
            fault.message,
            code=fault.code,
            traceback=fault.traceback,
            model=fault.model,
            method=fault.method,
        )
    return None


def _names_missing_database(text: str, database: str, must_mention: str) -> bool:
    """Tell whether a traceback says that the database does not exist.

    A server that knows its databases raises ``KeyError: 'name'``; otherwise PostgreSQL's refusal
    names the database, in the server's language. A PostgreSQL that is starting up, full or stopped
    does not name it: that database can't be reached just now.
    """
    lines = text.split("\n")
    if f"KeyError: '{database}'" in lines:
        return must_mention in text
    return any(_refuses(line, database) for line in lines)


def _refuses(line: str, database: str) -> bool:
    """Tell whether a line is PostgreSQL's refusal of this database, quoted in any language."""
    _before, error, said = line.partition("OperationalError")
    _before, fatal, said = said.partition("FATAL:")
    if not (error and fatal):
        return False
    said, name = ("".join(words.split()) for words in (said, database))
    return any(f"{left}{name}{right}" in said for left in '"«“„' for right in '"»”“')
