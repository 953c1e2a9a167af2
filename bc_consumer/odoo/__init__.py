"""The gateway to Odoo: plain settings in, plain immutable records out, a small family of errors.

Knows nothing of Django, nor of the copy. Start with ``Odoo`` (client.py) and ``errors.py``.
"""

from bc_consumer.odoo.client import Odoo
from bc_consumer.odoo.errors import (
    MissingField,
    MissingModel,
    NoRights,
    OdooAccessError,
    OdooError,
    OdooFault,
    OdooInterrupted,
    OdooProtocolError,
    OdooRefused,
    OdooTimeout,
    OdooUnavailable,
    ResponseTooLarge,
    UnknownField,
    UnknownMethod,
    WrongCredentials,
    WrongDatabase,
)
from bc_consumer.odoo.records import (
    Fetched,
    LineSnapshot,
    Missing,
    OrderSnapshot,
    ServerVersion,
)
from bc_consumer.odoo.settings import OdooSettings

__all__ = [
    "Fetched",
    "LineSnapshot",
    "Missing",
    "MissingField",
    "MissingModel",
    "NoRights",
    "Odoo",
    "OdooAccessError",
    "OdooError",
    "OdooFault",
    "OdooInterrupted",
    "OdooProtocolError",
    "OdooRefused",
    "OdooSettings",
    "OdooTimeout",
    "OdooUnavailable",
    "OrderSnapshot",
    "ResponseTooLarge",
    "ServerVersion",
    "UnknownField",
    "UnknownMethod",
    "WrongCredentials",
    "WrongDatabase",
]
