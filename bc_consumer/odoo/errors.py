"""The errors of calls to Odoo, grouped by what the caller does next.

::

    OdooError
    ├── OdooUnavailable          try later; no order is to blame
    │   ├── OdooTimeout          the call's deadline passed (a single order may be the reason)
    │   ├── OdooBusy             our own limits of calls left no room for this one
    │   └── OdooInterrupted      this process is stopping: give the work back
    ├── OdooRefused              stop and alert a person; the message says what to correct
    │   ├── WrongCredentials     login, password or API key
    │   ├── WrongAddress         a page's path in the address, not Odoo itself
    │   ├── MissingProtocol      this Odoo is too old for the configured protocol
    │   ├── WrongDatabase        the server has no database of this name
    │   ├── WrongLanguage        this Odoo has no such language, or it is not active
    │   ├── NoRights             the account may not read a whole model
    │   ├── MissingModel         the app is not installed, or the model's name is wrong
    │   ├── MissingField         this Odoo lacks a field that the copy needs
    │   ├── UnfitField           a configured field has a type that can't be copied
    │   ├── NoAutomation         module base_automation is not installed
    │   └── NoWebhookActions     this Odoo is too old to send webhooks
    ├── OdooTorn                 these orders can't be read as of one moment just now
    ├── OdooFault                Odoo raised an error about a record or about the call
    │   ├── OdooAccessError      the account may not read some of the records
    │   ├── UnknownField         this Odoo does not have the field
    │   ├── UnknownMethod        this Odoo does not have the method
    │   └── CannotGroup          it has no method to count by day: list ids instead
    └── OdooProtocolError        the answer is not one that Odoo gives
        ├── MissingEndpoint      the address does not speak this protocol: try another one
        └── ResponseTooLarge     larger than the limit: ask for fewer orders at once

A fault alone never tells whether an order or Odoo itself is the trouble: Odoo answers Fault 1 for
any exception, even if its own database fails. ``Odoo.ping()`` is the control call that tells.

Three tables lead to these errors: ``fault_errors.py`` from Odoo's faults, ``http_errors.py`` from
HTTP statuses and from libcurl's numbers.
"""

from collections.abc import Sequence

from bc_consumer.core.translatable import Message, verbatim
from bc_consumer.core.translatable import gettext as _

LONGEST_TEXT = 2_000  # characters of Odoo's own text that a message repeats


class OdooError(Exception):
    """Base of all errors of the gateway. Its message can be translated; ``str()`` is English."""

    def __init__(self, message: Message) -> None:
        super().__init__(message)


class OdooUnavailable(OdooError):
    """Odoo, its proxy or the network can't answer now: try later, blame no order.

    ``retry_after``: the seconds that the server asks us to wait, or None. ``status``: the answer's
    HTTP status, None where there was no answer. ``may_be_the_call``: the exchange broke off, or the
    answer was a 5xx, so that it may be this call that Odoo or a proxy can't finish, and no other.
    """

    def __init__(
        self,
        message: Message,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        may_be_the_call: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.may_be_the_call = may_be_the_call


class OdooTimeout(OdooUnavailable):
    """The deadline of the whole call passed."""


class OdooBusy(OdooUnavailable):
    """The call did not begin: our own limits of calls left no room for it in time."""


class OdooInterrupted(OdooUnavailable):
    """The call was broken off because this process is stopping."""


class OdooRefused(OdooError):
    """Nothing works until a person corrects something; the message says what."""


class WrongCredentials(OdooRefused):
    """Login, password or API key are wrong."""


class WrongAddress(OdooRefused):
    """The configured address leads to a page; Odoo itself answers at another one."""


class MissingProtocol(OdooRefused):
    """This Odoo is too old for the protocol that the settings name."""


class WrongDatabase(OdooRefused):
    """The server has no database of the configured name."""


class WrongLanguage(OdooRefused):
    """The configured language is not active in this Odoo, which then refuses calls (18, 19)."""


class NoRights(OdooRefused):
    """The account may not read ``model`` at all."""

    def __init__(self, message: Message, *, model: str) -> None:
        super().__init__(message)
        self.model = model


class MissingModel(OdooRefused):
    """This Odoo has no such ``model``."""

    def __init__(self, message: Message, *, model: str) -> None:
        super().__init__(message)
        self.model = model


class MissingField(OdooRefused):
    """``model`` lacks ``fields`` (canonical names), without which no order can be copied."""

    def __init__(self, message: Message, *, model: str, fields: Sequence[str]) -> None:
        super().__init__(message)
        self.model = model
        self.fields = tuple(fields)


class UnfitField(OdooRefused):
    """``field`` of ``model``, which the settings name, has a type that can't be copied."""

    def __init__(self, message: Message, *, model: str, field: str) -> None:
        super().__init__(message)
        self.model = model
        self.field = field


class NoAutomation(OdooRefused):
    """This Odoo has no automation rules: their module is not installed."""


class NoWebhookActions(OdooRefused):
    """This Odoo is too old to send webhooks."""


class OdooTorn(OdooError):
    """Some orders changed between the reads of each of several attempts."""


class OdooFault(OdooError):
    """Odoo raised an error while it worked on this call.

    ``code``: Odoo's fault code (1 any exception, 2 a message for the user or a missing record,
    3 access denied, 4 access rights; measured on Odoo 17, 18 and 19). ``message``: the error in one
    line. ``traceback``: Odoo's own, "" if it sent none.
    """

    def __init__(
        self, message: str, *, code: int, traceback: str = "", model: str = "", method: str = ""
    ) -> None:
        super().__init__(_fault(message, code, model, method))
        self.message = message
        self.code = code
        self.traceback = traceback
        self.model = model
        self.method = method


class OdooAccessError(OdooFault):
    """Record rules hide some of this call's records from the account."""


class UnknownField(OdooFault):
    """``unknown_model`` has no field ``field`` (both by this Odoo's names)."""

    def __init__(self, message: str, *, fault: OdooFault, unknown_model: str, field: str) -> None:
        super().__init__(
            message,
            code=fault.code,
            traceback=fault.traceback,
            model=fault.model,
            method=fault.method,
        )
        self.unknown_model = unknown_model
        self.field = field


class UnknownMethod(OdooFault):
    """This Odoo's model has no such method, or one with other arguments (an older version)."""


class CannotGroup(OdooFault):
    """This Odoo has neither of the methods that group records."""


class OdooProtocolError(OdooError):
    """The answer is not what Odoo sends: a proxy's page, garbage, or an attack."""


class MissingEndpoint(OdooProtocolError):
    """The address has no such service: another version of Odoo, or a proxy that hides it."""


class ResponseTooLarge(OdooProtocolError):
    """The answer was larger than ``limit`` bytes after decompression, and was cut off.

    Or it would take too much memory once decoded; ``limit`` is then the same setting.
    """

    def __init__(self, message: Message, *, limit: int) -> None:
        super().__init__(message)
        self.limit = limit


def _fault(text: str, code: int, model: str, method: str) -> Message:
    if not isinstance(text, Message):
        text = verbatim(text[:LONGEST_TEXT])
    if not model:
        return _("Odoo fault %(code)s: %(text)s", code=code, text=text)
    where = f"{model}.{method}"
    return _("Odoo fault %(code)s in %(where)s: %(text)s", code=code, where=where, text=text)
