"""The gateway to Odoo: takes plain settings, returns immutable records, raises its own errors.

It knows nothing of Django or of the copy. Every room except core, fields and models may import it.
Start with ``Odoo.fetch`` in ``client``, and follow it through ``orders``, ``transports``, ``rpc``,
``xmlrpc_codec`` and ``http``; ``errors`` groups the errors by what the caller does next.
"""

from bc_consumer.fields.field import EXTRA, Field
from bc_consumer.fields.kinds import Kind
from bc_consumer.fields.table import TABLES
from bc_consumer.odoo.calls_under_way import CALLS, Silence
from bc_consumer.odoo.client import Odoo
from bc_consumer.odoo.connection_settings import OdooSettings
from bc_consumer.odoo.errors import (
    CannotGroup,
    MissingEndpoint,
    MissingField,
    MissingModel,
    MissingProtocol,
    NoAutomation,
    NoRights,
    NoWebhookActions,
    OdooAccessError,
    OdooBusy,
    OdooError,
    OdooFault,
    OdooInterrupted,
    OdooProtocolError,
    OdooRefused,
    OdooTimeout,
    OdooTorn,
    OdooUnavailable,
    ResponseTooLarge,
    UnfitField,
    UnknownField,
    UnknownMethod,
    WrongAddress,
    WrongCredentials,
    WrongDatabase,
    WrongLanguage,
)
from bc_consumer.odoo.field_set import FieldSet, ModelFields
from bc_consumer.odoo.grouping_methods import PeriodName
from bc_consumer.odoo.listing import NAMING_MODELS
from bc_consumer.odoo.records import (
    Fetched,
    Listed,
    Missing,
    NamedOrder,
    OrderSnapshot,
)

__all__ = [
    "CALLS",
    "EXTRA",
    "NAMING_MODELS",
    "TABLES",
    "CannotGroup",
    "Fetched",
    "Field",
    "FieldSet",
    "Kind",
    "Listed",
    "Missing",
    "MissingEndpoint",
    "MissingField",
    "MissingModel",
    "MissingProtocol",
    "ModelFields",
    "NamedOrder",
    "NoAutomation",
    "NoRights",
    "NoWebhookActions",
    "Odoo",
    "OdooAccessError",
    "OdooBusy",
    "OdooError",
    "OdooFault",
    "OdooInterrupted",
    "OdooProtocolError",
    "OdooRefused",
    "OdooSettings",
    "OdooTimeout",
    "OdooTorn",
    "OdooUnavailable",
    "OrderSnapshot",
    "PeriodName",
    "ResponseTooLarge",
    "Silence",
    "UnfitField",
    "UnknownField",
    "UnknownMethod",
    "WrongAddress",
    "WrongCredentials",
    "WrongDatabase",
    "WrongLanguage",
]
