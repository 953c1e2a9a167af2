"""The kinds of values, and which Odoo types are copied as which kind."""

import enum
from collections.abc import Mapping


class Kind(enum.Enum):
    """The kind of a value decides what Odoo's False means for it and how a page shows it."""

    TEXT = "text"  # char, text and selection
    HTML = "html"  # a text with markup, which pages strip
    BOOLEAN = "boolean"
    INTEGER = "integer"
    MONEY = "money"  # has the decimals of the order's currency
    PRICE = "price"  # has the field's digits, and is shown as money
    QUANTITY = "quantity"  # has the field's digits, and is shown without needless zeros
    NUMBER = "number"  # a quantity, a percentage, days: Odoo's type does not say which
    DATE = "date"
    DATETIME = "datetime"
    MANY2ONE = "many2one"  # two columns: id and name
    MANY2MANY = "many2many"  # a list of ids and names
    LINES = "lines"  # one2many


NUMBERS = frozenset({Kind.MONEY, Kind.PRICE, Kind.QUANTITY, Kind.NUMBER})
SHOWN_AS_MONEY = frozenset({Kind.MONEY, Kind.PRICE})

# Odoo's types that can be copied; for float and monetary see kind_of.
KINDS: Mapping[str, Kind] = {
    "char": Kind.TEXT,
    "text": Kind.TEXT,
    "html": Kind.TEXT,
    "selection": Kind.TEXT,
    "boolean": Kind.BOOLEAN,
    "integer": Kind.INTEGER,
    "float": Kind.NUMBER,
    "monetary": Kind.NUMBER,
    "date": Kind.DATE,
    "datetime": Kind.DATETIME,
    "many2one": Kind.MANY2ONE,
    "many2many": Kind.MANY2MANY,
}


def kind_of(description: Mapping[str, object]) -> Kind | None:
    """Return how a field's values are copied; None if they can't be.

    ``description``: what Odoo's ``fields_get`` returns for it. An amount in the order's currency
    gets that currency's decimals; one in another currency keeps its own.
    """
    if description.get("type") == "monetary" and description.get("currency_field") == "currency_id":
        return Kind.MONEY
    return KINDS.get(str(description.get("type")))
