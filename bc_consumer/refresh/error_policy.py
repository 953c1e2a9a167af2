"""The one closed table of what is done about an error while orders are brought up to date.

An error is looked up by its own class, not by its base classes. One that is not in the table counts
as the orders' own: it then stops nobody else, and the order fails with it once it stands alone.
"""

import enum
from collections.abc import Mapping

from django.conf import settings
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)

from bc_consumer import odoo
from bc_consumer.core.translatable import Message, message_of, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.refresh.mapping import MappingError
from bc_consumer.refresh.odoo_identity import AnotherDatabase

MEBIBYTE = 2**20
"""Bytes."""


class NotReadable(Exception):
    """Odoo has this order but hides it from our account, and the copy has never had it."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "Odoo has this order, but its record rules hide it from the account "
                '"%(login)s": give the account the right (its companies, the app\'s groups); or,'
                " if it is another company's, name those to copy (ODOO_COMPANY_IDS)",
                login=settings.ODOO_LOGIN,
            )
        )


class UnreadableOrders(odoo.OdooRefused):
    """Odoo works, but no order at all can be read with the fields that we ask for."""


class Reaction(enum.Enum):
    """What is done about an error."""

    STOP = "this process is ending: give the orders back at once"
    PAUSE = "Odoo's trouble, or the network's: no attempt is used up, all workers pause"
    REFUSED = "nothing works until a person corrects something: pause, and tell people once"
    OURS = "our own database's trouble, or our own limits': give the orders back, try again soon"
    BROKEN = "this program and its database don't fit together: give back, and tell people once"
    DOUBT = "a control call decides; then split until the bad order stands alone, which fails"
    SLOW = "the same, in parts that other workers may take: each try costs a whole deadline"
    SMALLER = "too much at once and nobody's fault: split; alone, an order fails"
    HOPELESS = "this order's own, and trying again does not help: it fails at once"


POLICY: Mapping[type[Exception], Reaction] = {
    odoo.OdooError: Reaction.DOUBT,
    odoo.OdooUnavailable: Reaction.PAUSE,
    odoo.OdooTimeout: Reaction.SLOW,
    odoo.OdooInterrupted: Reaction.STOP,
    odoo.OdooBusy: Reaction.OURS,
    odoo.OdooRefused: Reaction.REFUSED,
    odoo.WrongCredentials: Reaction.REFUSED,
    odoo.WrongAddress: Reaction.REFUSED,
    odoo.MissingProtocol: Reaction.REFUSED,
    odoo.WrongDatabase: Reaction.REFUSED,
    odoo.WrongLanguage: Reaction.REFUSED,
    odoo.NoRights: Reaction.REFUSED,
    odoo.MissingModel: Reaction.REFUSED,
    odoo.MissingField: Reaction.REFUSED,
    odoo.UnfitField: Reaction.REFUSED,
    odoo.NoAutomation: Reaction.REFUSED,
    odoo.NoWebhookActions: Reaction.REFUSED,
    UnreadableOrders: Reaction.REFUSED,
    AnotherDatabase: Reaction.REFUSED,
    odoo.OdooTorn: Reaction.DOUBT,
    odoo.OdooFault: Reaction.DOUBT,
    odoo.OdooAccessError: Reaction.DOUBT,
    odoo.UnknownField: Reaction.DOUBT,
    odoo.UnknownMethod: Reaction.DOUBT,
    odoo.CannotGroup: Reaction.DOUBT,
    odoo.OdooProtocolError: Reaction.DOUBT,
    odoo.MissingEndpoint: Reaction.DOUBT,
    odoo.ResponseTooLarge: Reaction.SMALLER,
    MappingError: Reaction.DOUBT,
    NotReadable: Reaction.HOPELESS,
    OperationalError: Reaction.OURS,
    InterfaceError: Reaction.OURS,
    ProgrammingError: Reaction.BROKEN,
    NotSupportedError: Reaction.BROKEN,
    InternalError: Reaction.OURS,
    DatabaseError: Reaction.DOUBT,
    DataError: Reaction.DOUBT,
    IntegrityError: Reaction.DOUBT,
}
"""Class of the error → reaction."""

ABOUT_ORDERS = frozenset({Reaction.DOUBT, Reaction.SLOW, Reaction.SMALLER, Reaction.HOPELESS})
"""Reactions to errors that may be one order's fault; the others are no order's."""


def reaction_to(error: Exception) -> Reaction:
    """Return what is done about this error."""
    return POLICY.get(type(error), Reaction.DOUBT)


def is_about_orders(error: Exception) -> bool:
    """Return whether one of the orders at hand may be at fault."""
    return reaction_to(error) in ABOUT_ORDERS


def explanation(error: Exception) -> Message:
    """Return why an order failed alone, in words that tell a person what to do."""
    if isinstance(error, odoo.ResponseTooLarge):
        return _(
            "This order alone is larger than %(limit)s MiB"
            " (ODOO_MAX_RESPONSE_BYTES): raise the limit, or see in Odoo what makes it so large",
            limit=f"{error.limit / MEBIBYTE:g}",
        )
    if isinstance(error, odoo.OdooTimeout):
        return _(
            "Odoo needs more than %(seconds)s s (ODOO_TIMEOUT_SECONDS) for"
            " this order alone, but answers for others: %(error)s",
            seconds=f"{settings.ODOO_TIMEOUT_SECONDS:g}",
            error=message_of(error),
        )
    if isinstance(error, odoo.OdooProtocolError):
        return _(
            "Odoo's answer for this order alone can't be used: %(error)s", error=message_of(error)
        )
    return message_of(error) or verbatim(type(error).__name__)
