"""Odoo's faults → our errors: the one closed table, of all transports.

Fault codes of /xmlrpc/2 (measured on Odoo 17, 18 and 19): 1 = any exception, its text is a Python
traceback whose last line is the error; 2 = UserError, MissingError, unknown model; 3 = access
denied; 4 = AccessError. Texts of 2 to 4 are translated and vary, so only their codes count; those
of 1 that are matched here are Python's or PostgreSQL's own. The JSON protocols' errors are brought
into this form (``json_text.py``, ``json2.py``).
"""

import re
from dataclasses import dataclass

from bc_consumer.core.redactor import Redactor
from bc_consumer.core.translatable import gettext as _
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
from bc_consumer.odoo.settings import OdooSettings

EXCEPTION, USER_ERROR, ACCESS_DENIED, ACCESS_ERROR = 1, 2, 3, 4
CODES_OF_OLD_ENDPOINTS = {"AccessDenied": ACCESS_DENIED, "AccessError": ACCESS_ERROR}

# ValueError: Invalid field 'x' on model 'purchase.order' (17, 18); … on 'purchase.order' (19)
FIELD_READ = re.compile(r"Invalid field '(?P<field>[^']+)' (?:on|in) (?:model )?'(?P<model>[^']+)'")
# ValueError: Invalid field purchase.order.x in leaf (…)
FIELD_IN_DOMAIN = re.compile(r"Invalid field (?P<model>[\w.]+)\.(?P<field>\w+) in ")

# AttributeError: type object 'purchase.order' has no attribute 'x', or «… does not exist»; the
# second is how a method of this name with other arguments answers (before 17).
NO_ATTRIBUTE, WRONG_TYPE, NO_ARGUMENT = (
    "AttributeError", "TypeError: ", "unexpected keyword argument"
)  # fmt: skip

# UserError, never translated: there is no language to do it in (measured on 19).
UNKNOWN_LANGUAGE = re.compile(r"Invalid language code: (?P<code>\S+)\s*")

# What PostgreSQL, UTF-8 or a terminal can't take as text, or what turns its direction around.
UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

# The method's own result could not be marshalled: it ran, and was committed (17, 18 and 19).
NONE_RESULT = "TypeError: cannot marshal None unless allow_none is enabled"


class Fault(Exception):
    """Odoo answered with a fault: its code (an int, or text on old endpoints) and its text."""

    def __init__(self, code: int | str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Call:
    """What was called, for messages."""

    model: str
    method: str


def is_none_result(fault: Fault) -> bool:
    """Tell whether the method did its work and returned None, which Odoo can't send."""
    return fault.code == EXCEPTION and last_line(fault.text) == NONE_RESULT


def error_of_execute(fault: Fault, call: Call, settings: OdooSettings) -> OdooError:
    """Make the error for a fault of a model's method."""
    text = told(fault.text, settings)
    code = (
        CODES_OF_OLD_ENDPOINTS.get(fault.code, EXCEPTION)
        if isinstance(fault.code, str)
        else (fault.code)
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
    """Make the error for a fault of ``authenticate`` or ``version``: no order is concerned."""
    text = told(fault.text, settings)
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
    """Odoo knows the database, and does not know this login with this password."""
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
    """JSON-2 does not take what is in ODOO_PASSWORD."""
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
    """The server has no database of this name."""
    return WrongDatabase(
        _(
            'Odoo at %(url)s has no database "%(database)s": correct ODOO_DATABASE (Odoo\'s '
            "database selector, or its administrator, tells the name)",
            url=settings.shown_url,
            database=settings.database,
        )
    )


def wrong_language(code: str, settings: OdooSettings) -> WrongLanguage:
    """Odoo 18 and 19 answer nothing in a language that is not in use; 16 and 17 do (measured)."""
    return WrongLanguage(
        _(
            'Odoo at %(url)s has no language "%(code)s", or does not use it any more: correct '
            "ODOO_LANGUAGE, or add the language in Odoo's settings",
            url=settings.shown_url,
            code=code,
        )
    )


def last_line(text: str) -> str:
    """Give the last line that is not empty, at most LONGEST_TEXT characters of it."""
    lines = text.strip().splitlines()
    return lines[-1][:LONGEST_TEXT] if lines else _("(no text)")


def told(text: str, settings: OdooSettings) -> str:
    """Return what Odoo says without secrets, should it ever repeat them, as text that can be kept.

    JSON carries NUL, escape sequences of terminals and halves of characters, which XML does not.
    """
    redactor = Redactor((settings.password, *settings.url_passwords))
    return UNFIT.sub("\ufffd", redactor.shortened(text).replace("\r\n", "\n"))


def _unknown_name(fault: OdooFault) -> OdooFault | None:
    """Recognise a field or a method that this Odoo does not have."""
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
    """Tell a database that is not there from one that can't be reached just now.

    A server whose list of databases is known raises ``KeyError: 'name'``; otherwise PostgreSQL's
    refusal names the database, in the server's language. One that is starting up, full or stopped
    does not name it.
    """
    lines = text.split("\n")
    if f"KeyError: '{database}'" in lines:
        return must_mention in text
    return any(_refuses(line, database) for line in lines)


def _refuses(line: str, database: str) -> bool:
    """Tell a refusal of PostgreSQL's that names this database, in the quotes of any language."""
    _before, error, said = line.partition("OperationalError")
    _before, fatal, said = said.partition("FATAL:")
    if not (error and fatal):
        return False
    said, name = ("".join(words.split()) for words in (said, database))
    return any(f"{left}{name}{right}" in said for left in '"«“„' for right in '"»”“')
