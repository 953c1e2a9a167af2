"""The gateway to Odoo: plain settings in, plain immutable records out, a small family of errors.

Knows nothing of Django, nor of the copy. May be imported by every room but core and models.
Start with ``client`` (class ``Odoo``) and ``errors``, grouped by what the caller does next.
"""

from bc_consumer.fields.field import Field
from bc_consumer.fields.kinds import Kind
from bc_consumer.fields.table import TABLES
from bc_consumer.odoo.client import Odoo
from bc_consumer.odoo.errors import (
    CannotGroup,
    MissingEndpoint,
    MissingField,
    MissingModel,
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
    WrongCredentials,
    WrongDatabase,
    WrongLanguage,
)
from bc_consumer.odoo.field_set import FieldSet, ModelFields
from bc_consumer.odoo.listing import Listing
from bc_consumer.odoo.naming import NAMING_MODELS
from bc_consumer.odoo.records import (
    Bucket,
    Fetched,
    LineSnapshot,
    Listed,
    Missing,
    OrderSnapshot,
    ServerVersion,
)
from bc_consumer.odoo.settings import OdooSettings

__all__ = [
    "NAMING_MODELS",
    "TABLES",
    "Bucket",
    "CannotGroup",
    "Fetched",
    "Field",
    "FieldSet",
    "Kind",
    "LineSnapshot",
    "Listed",
    "Listing",
    "Missing",
    "MissingEndpoint",
    "MissingField",
    "MissingModel",
    "ModelFields",
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
    "ResponseTooLarge",
    "ServerVersion",
    "UnfitField",
    "UnknownField",
    "UnknownMethod",
    "WrongCredentials",
    "WrongDatabase",
    "WrongLanguage",
]
