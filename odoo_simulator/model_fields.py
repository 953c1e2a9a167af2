"""The models and fields of a simulated Odoo, by version.

The fields of orders and lines are those that `fields_get` returned on running Odoo 16 to 19
(field_tables/NN.json); the small related models have only the fields that readers of orders need.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

VERSIONS = (16, 17, 18, 19)
FIRST_WITH_WEBHOOKS = 17
TEXT_TYPES = frozenset({"char", "text", "html", "selection"})
X2MANY_TYPES = frozenset({"one2many", "many2many"})
_TABLES = Path(__file__).with_name("field_tables")

# Fields that every model has besides its own.
_COMMON: dict[str, tuple[str, str, bool]] = {
    "id": ("integer", "", True),
    "display_name": ("char", "", False),
    "create_date": ("datetime", "", True),
    "write_date": ("datetime", "", True),
    "create_uid": ("many2one", "res.users", True),
    "write_uid": ("many2one", "res.users", True),
}
# name: (type, related model)
_SMALL_MODELS: dict[str, dict[str, tuple[str, str]]] = {
    "res.partner": {
        "name": ("char", ""),
        "ref": ("char", ""),
        "active": ("boolean", ""),
        "is_company": ("boolean", ""),
        "parent_id": ("many2one", "res.partner"),
        "company_id": ("many2one", "res.company"),
        "city": ("char", ""),
    },
    "product.product": {
        "name": ("char", ""),
        "product_tmpl_id": ("many2one", "product.template"),
        "default_code": ("char", ""),
        "active": ("boolean", ""),
        "type": ("selection", ""),
        "uom_id": ("many2one", "uom.uom"),
        "standard_price": ("float", ""),
    },
    "res.users": {
        "name": ("char", ""),
        "login": ("char", ""),
        "partner_id": ("many2one", "res.partner"),
        "active": ("boolean", ""),
        "company_id": ("many2one", "res.company"),
        "company_ids": ("many2many", "res.company"),
    },
    "res.company": {
        "name": ("char", ""),
        "currency_id": ("many2one", "res.currency"),
        "partner_id": ("many2one", "res.partner"),
    },
    "res.currency": {
        "name": ("char", ""),
        "symbol": ("char", ""),
        "active": ("boolean", ""),
        "decimal_places": ("integer", ""),
        "rounding": ("float", ""),
    },
    "uom.uom": {"name": ("char", ""), "active": ("boolean", "")},
    "account.tax": {
        "name": ("char", ""),
        "active": ("boolean", ""),
        "amount": ("float", ""),
        "amount_type": ("selection", ""),
        "type_tax_use": ("selection", ""),
    },
    "ir.model": {"name": ("char", ""), "model": ("char", "")},
    "ir.model.fields": {
        "name": ("char", ""),
        "model": ("char", ""),
        "model_id": ("many2one", "ir.model"),
        "ttype": ("selection", ""),
        "relation": ("char", ""),
        "field_description": ("char", ""),
        "store": ("boolean", ""),
    },
    "res.lang": {"name": ("char", ""), "code": ("char", ""), "active": ("boolean", "")},
    "res.users.apikeys": {
        "name": ("char", ""),
        "user_id": ("many2one", "res.users"),
        "scope": ("char", ""),
        "expiration_date": ("datetime", ""),  # 18 and later
    },
    "ir.module.module": {"name": ("char", ""), "state": ("selection", "")},
    "base.automation": {
        "name": ("char", ""),
        "active": ("boolean", ""),
        "model_id": ("many2one", "ir.model"),
        "trigger": ("selection", ""),
        "trigger_field_ids": ("many2many", "ir.model.fields"),
        "filter_pre_domain": ("char", ""),
        "filter_domain": ("char", ""),
        "action_server_ids": ("one2many", "ir.actions.server"),
    },
    "ir.actions.server": {
        "name": ("char", ""),
        "model_id": ("many2one", "ir.model"),
        "usage": ("selection", ""),
        "state": ("selection", ""),
        "sequence": ("integer", ""),
        "webhook_url": ("char", ""),
        "webhook_field_ids": ("many2many", "ir.model.fields"),
        "base_automation_id": ("many2one", "base.automation"),
    },
}
# The fields of rules and their actions since 17 (measured: 16 has none of these).
_OF_WEBHOOKS = {
    "base.automation": ("action_server_ids",),
    "ir.actions.server": ("webhook_url", "webhook_field_ids", "base_automation_id"),
}
_DESCRIPTIONS = {
    "purchase.order": "Purchase Order",
    "purchase.order.line": "Purchase Order Line",
    "sale.order": "Sales Order",
    "sale.order.line": "Sales Order Line",
    "res.partner": "Contact",
    "product.product": "Product Variant",
    "base.automation": "Automation Rule",
}
_ORDERS = {
    "purchase.order": "priority desc, id desc",
    "sale.order": "date_order desc, id desc",
    "purchase.order.line": "order_id, sequence, id",
    "sale.order.line": "order_id, sequence, id",
}
# (model, one2many field): (related model, its field that points back)
INVERSES: dict[tuple[str, str], tuple[str, str]] = {
    ("purchase.order", "order_line"): ("purchase.order.line", "order_id"),
    ("sale.order", "order_line"): ("sale.order.line", "order_id"),
    ("base.automation", "action_server_ids"): ("ir.actions.server", "base_automation_id"),
}


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    string: str
    store: bool = True
    relation: str = ""
    selection: tuple[tuple[str, str], ...] = ()
    digits: tuple[int, int] | None = None
    required: bool = False
    readonly: bool = False
    currency_field: str = "currency_id"  # of monetary fields: the currency whose decimals apply

    @property
    def default(self) -> Any:
        """This field's empty value in the store (and, x2many aside, on the wire)."""
        if self.type in X2MANY_TYPES:
            return ()
        return {"integer": 0, "float": 0.0, "monetary": 0.0}.get(self.type, False)

    def described(self) -> dict[str, Any]:
        """Return this field as `fields_get` shows it."""
        shown: dict[str, Any] = {
            "type": self.type,
            "string": self.string,
            "store": self.store,
            "required": self.required,
            "readonly": self.readonly,
            "name": self.name,
        }
        if self.relation:
            shown["relation"] = self.relation
        if self.selection:
            shown["selection"] = [list(choice) for choice in self.selection]
        if self.digits is not None:
            shown["digits"] = list(self.digits)
        if self.type == "monetary":
            shown["currency_field"] = self.currency_field
        return shown


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    description: str
    order: str
    fields: dict[str, Field]
    defaults: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """The names that were renamed in 19."""

    notes: str
    uom: str
    taxes: str
    has_locked: bool
    line_state_stored: bool


def names_of(version: int) -> Names:
    if version >= 19:
        return Names("note", "product_uom_id", "tax_ids", True, False)
    return Names("notes", "product_uom", "taxes_id", False, True)


class ModelSet(dict[str, Model]):
    """All models of one simulated Odoo, by name; fields can be added and removed at run time."""

    def drop(self, model: str, name: str) -> Field | None:
        """Remove a field and return it; None if there was none."""
        field = self[model].fields.get(name)
        if field is not None:
            left = {key: value for key, value in self[model].fields.items() if key != name}
            self[model] = _model(model, left)
        return field

    def restore(self, model: str, field: Field | None) -> None:
        if field is not None:
            self[model] = _model(model, {**self[model].fields, field.name: field})


def load_models(version: int) -> ModelSet:
    """Return all models of this version, by name, including those only pointed at."""
    return ModelSet(_models_of(version))


@cache
def _models_of(version: int) -> ModelSet:
    if version not in VERSIONS:
        raise ValueError(f"version must be one of {VERSIONS}, not {version!r}")
    tables = json.loads((_TABLES / f"{version}.json").read_text("utf-8"))
    models = ModelSet()
    models |= {
        name: _model(name, {key: _field(key, shown) for key, shown in table.items()})
        for name, table in tables.items()
    }
    for name, small in _SMALL_MODELS.items():
        models[name] = _small_model(name, small)
    if version < FIRST_WITH_WEBHOOKS:
        for name, missing in _OF_WEBHOOKS.items():
            for field in missing:
                models.drop(name, field)
    pointed_at = {field.relation for model in models.values() for field in model.fields.values()}
    for name in sorted(pointed_at - models.keys() - {""}):
        models[name] = _small_model(name, {"name": ("char", "")})
    return models


def _model(name: str, fields: dict[str, Field]) -> Model:
    defaults = {key: field.default for key, field in fields.items()}
    return Model(
        name,
        _DESCRIPTIONS.get(name, name),
        _ORDERS.get(name, "id"),
        fields,
        defaults,
    )


def _field(name: str, shown: dict[str, Any]) -> Field:
    digits = shown.get("digits")
    return Field(
        name,
        shown["type"],
        shown["string"],
        store=shown.get("store", False),
        relation=shown.get("relation", ""),
        selection=tuple((key, label) for key, label in shown.get("selection", ())),
        digits=(digits[0], digits[1]) if digits else None,
        required=shown.get("required", False),
        readonly=shown.get("readonly", False),
    )


def _small_model(name: str, own: dict[str, tuple[str, str]]) -> Model:
    fields = {
        key: Field(key, kind, key.replace("_", " ").capitalize(), stored, relation, readonly=True)
        for key, (kind, relation, stored) in _COMMON.items()
    }
    for key, (kind, relation) in own.items():
        label = key.removesuffix("_ids").removesuffix("_id").replace("_", " ").capitalize()
        fields[key] = Field(key, kind, label, True, relation, required=key == "name")
    return _model(name, fields)
