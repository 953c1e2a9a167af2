"""What a kind of failure means, and what to do about it, in words for an operator.

The class of the error, as a failed order's row stores it, decides; ``refresh/error_policy.py`` has
the table of these classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from bc_consumer.console.labels import Label
from bc_consumer.ledger import WAITS_FOR_ANOTHER_ORDER


@dataclass(frozen=True, slots=True)
class Advice:
    """What a kind of failure means."""

    title: Label
    meaning: Label
    to_do: Label


REPLAY = _("Then replay these orders.")
NOT_READABLE = Advice(
    _("Not readable with our account"),
    _("Odoo has the order and keeps it from the account that this service uses."),
    _(
        "Have an Odoo administrator give the account the right to read it, or, if the order "
        "belongs to a company that is not to be copied, leave that company out "
        "(ODOO_COMPANY_IDS). Then replay."
    ),
)
REFUSED_BY_ODOO = Advice(
    _("Odoo can't read the order"),
    _("Odoo answers with an error of its own when it reads this order, and reads others well."),
    _(
        "Open the order in Odoo: if that fails too, a module or the order's data is broken there, "
        "and the message says where. Once it opens, replay."
    ),
)
UNUSUAL_VALUE = Advice(
    _("A value that doesn't fit"),
    _("Odoo sent a value of another kind or size than the field has."),
    _(
        "The message names order, line, field and value. Correct the value in Odoo, or have the "
        "developers widen the column. Then replay."
    ),
)
TOO_SLOW = Advice(
    _("Odoo takes too long for the order"),
    _("Reading this order takes Odoo longer than the time limit, also alone."),
    _(
        "Often a computed field of a module is slow, or the order has thousands of lines. Have it "
        "looked at in Odoo, or raise ODOO_TIMEOUT_SECONDS. Then replay."
    ),
)
TOO_LARGE = Advice(
    _("The order is too large"),
    _("What Odoo sends of this one order is larger than the limit."),
    _("Raise ODOO_MAX_RESPONSE_BYTES, or drop a large field from ODOO_EXTRA_FIELDS. Then replay."),
)
DATABASE_REJECTS = Advice(
    _("Our database rejects the order"),
    _("A constraint or a type of this service's own tables does not admit a value of the order."),
    _("Send the message to the developers: a migration may be missing. Then replay."),
)
WAITS = Advice(
    _("Waits for another order"),
    _("A line was moved between two orders, and the other one can't be read at present."),
    _("Mend the other order: this one follows by itself."),
)
UNKNOWN = Advice(
    _("Something unforeseen"),
    _("This service has met an error that it has no name for."),
    _("Replay once. If it fails again, send the message to the developers."),
)

BY_ERROR_CLASS: Mapping[str, Advice] = {
    "NotReadable": NOT_READABLE,
    "OdooAccessError": NOT_READABLE,
    "OdooError": REFUSED_BY_ODOO,
    "OdooFault": REFUSED_BY_ODOO,
    "OdooTorn": REFUSED_BY_ODOO,
    "UnknownField": REFUSED_BY_ODOO,
    "UnknownMethod": REFUSED_BY_ODOO,
    "OdooProtocolError": REFUSED_BY_ODOO,
    "MissingEndpoint": REFUSED_BY_ODOO,
    "MappingError": UNUSUAL_VALUE,
    "DataError": UNUSUAL_VALUE,
    "OdooTimeout": TOO_SLOW,
    "ResponseTooLarge": TOO_LARGE,
    "DatabaseError": DATABASE_REJECTS,
    "IntegrityError": DATABASE_REJECTS,
    WAITS_FOR_ANOTHER_ORDER: WAITS,
}
"""Class of the error → advice. Errors of other classes never make one order fail alone."""


def advice_for(error_class: str) -> Advice:
    """Return what this class of error means, and what to do about it."""
    return BY_ERROR_CLASS.get(error_class, UNKNOWN)
