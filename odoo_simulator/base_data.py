"""The data that every simulated Odoo starts with: company, suppliers, products, currencies, taxes.

Names are those of businesses and teams, never of persons, in French and English.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from odoo_simulator.bulk_orders import Row, moment_text
from odoo_simulator.model_fields import Model
from odoo_simulator.store import Store, Transaction

COMPANY, ADMINISTRATOR = 1, 2
EUR, USD, JPY, TND, GBP = 1, 2, 3, 4, 5
TAX_20, TAX_5_5, TAX_0 = 1, 2, 3
UNITS, BOXES, HOURS, METRES = 1, 2, 3, 4
CURRENCIES = ((EUR, "EUR", "€", 2), (USD, "USD", "$", 2), (JPY, "JPY", "¥", 0))
MORE_CURRENCIES = ((TND, "TND", "DT", 3), (GBP, "GBP", "£", 2))
_LANGUAGES = (("English (US)", "en_US"), ("French / Français", "fr_FR"), ("German", "de_DE"))
IN_USE = ("en_US", "fr_FR")
_SUPPLIERS = (
    "Fournisseur Bois & Panneaux",
    "Papeterie Centrale",
    "Éclairage Professionnel Ouest",
    "Northern Office Supplies",
    "Atelier Métal & Cie",
    "Transports Réunis",
    "Textile Européen",
    "Quincaillerie du Port",
    "Harbour Packaging",
    "Verrerie des Alpes",
    "Tokyo Precision Parts",
    "Emballages Méditerranée",
)
_PRODUCTS = (
    ("DESK-160", "Bureau réglable 160 × 80", 389.0, "consu"),
    ("CHAIR-01", "Office chair, mesh back", 154.9, "consu"),
    ("LAMP-LED", "Lampe de bureau LED", 42.35, "consu"),
    ("CAB-4D", "Armoire métallique 4 portes", 512.4, "consu"),
    ("PAPER-A4", "Papier A4, carton de 5 ramettes", 21.75, "consu"),
    ("SCREEN-AC", "Acoustic screen, fabric", 286.7, "consu"),
    ("SCREW-M6", "Vis M6 × 40, boîte de 200", 7.125, "consu"),
    ("CABLE-6", "Câble réseau cat. 6 (mètre)", 0.87, "consu"),
    ("BOX-DBL", "Caisse carton double cannelure", 1.28, "consu"),
    ("INSTALL", "Montage sur site", 65.0, "service"),
    ("AUDIT", "Audit d'ergonomie", 890.0, "service"),
    ("GLASS-10", "Plateau verre trempé 10 mm", 231.5, "consu"),
)


def fill(
    store: Store, models: dict[str, Model], login: str, languages: Sequence[str] = IN_USE
) -> None:
    """Write the base data in one transaction, under fixed ids.

    ``login``: the administrator's. ``languages``: codes of the active ones.
    """
    tx = store.begin()
    stamp: Row = {
        "create_date": moment_text(store.now()),
        "write_date": tx.now,
        "create_uid": 1,
        "write_uid": 1,
    }
    for model, rows in _rows(login, languages).items():
        for number, values in rows.items():
            _put(tx, model, number, {**stamp, **values})
    _describe_models(tx, models, stamp)
    tx.commit()


def _put(tx: Transaction, model: str, number: int, row: Row) -> None:
    if "active" not in row:
        row["active"] = True
    tx.put(model, number, row)


def _rows(login: str, languages: Sequence[str]) -> dict[str, dict[int, Row]]:
    return {
        "res.company": {
            COMPANY: {"name": "Comptoir du Bureau", "currency_id": EUR, "partner_id": 1}
        },
        "res.currency": _currencies(),
        "res.users": _users(login),
        "uom.uom": _named("Units", "Boxes", "Hours", "m"),
        "account.tax": {
            TAX_20: _tax("TVA 20 %", 20.0),
            TAX_5_5: _tax("TVA 5,5 %", 5.5),
            TAX_0: _tax("Exempt", 0.0),
        },
        "res.partner": _partners(),
        "product.product": _products(),
        "product.template": _named(*(name for _code, name, _price, _kind in _PRODUCTS)),
        # Odoo knows some ninety languages; those in use are active.
        "res.lang": {
            number: {"name": name, "code": code, "active": code in languages}
            for number, (name, code) in enumerate(_LANGUAGES, 1)
        },
        "stock.picking.type": _named("Comptoir du Bureau: Receipts"),
        "stock.warehouse": _named("Comptoir du Bureau"),
        "product.pricelist": _named("Public prices"),
        "crm.team": _named("Sales", "Export"),
        "crm.tag": _named("Urgent", "Trade fair"),
        "ir.module.module": {
            number: {"name": name, "state": "installed"}
            for number, name in enumerate(("base", "web", "purchase", "sale", "base_automation"), 1)
        },
    }


def _named(*names: str) -> dict[int, Row]:
    return {number: {"name": name} for number, name in enumerate(names, 1)}


def _currencies() -> dict[int, Row]:
    return {
        number: {
            "name": name,
            "symbol": symbol,
            "decimal_places": decimals,
            "rounding": float(f"1e-{decimals}"),
        }
        for number, name, symbol, decimals in (*CURRENCIES, *MORE_CURRENCIES)
    }


def _users(login: str) -> dict[int, Row]:
    teams = ("System", "Administrator", "Purchasing team A", "Purchasing team B")
    return {
        number: {
            "name": name,
            "login": login if number == ADMINISTRATOR else f"team{number}",
            "company_id": COMPANY,
            "company_ids": (COMPANY,),
        }
        for number, name in enumerate(teams, 1)
    }


def _partners() -> dict[int, Row]:
    suppliers: dict[int, Row] = {
        number: {"name": name, "is_company": True, "ref": f"S{number:03d}"}
        for number, name in enumerate(_SUPPLIERS, 2)
    }
    return {1: {"name": "Comptoir du Bureau", "is_company": True}, **suppliers}


def _products() -> dict[int, Row]:
    return {
        number: {
            "name": name,
            "default_code": code,
            "standard_price": price,
            "type": kind,
            "product_tmpl_id": number,
            "uom_id": HOURS if kind == "service" else UNITS,
        }
        for number, (code, name, price, kind) in enumerate(_PRODUCTS, 1)
    }


def _tax(name: str, percent: float) -> Row:
    return {"name": name, "amount": percent, "amount_type": "percent", "type_tax_use": "purchase"}


def _describe_models(tx: Transaction, models: dict[str, Model], stamp: Row) -> None:
    """Fill ir.model and ir.model.fields, so that rules can be set up remotely."""
    field_id = 0
    for model_id, model in enumerate(models.values(), 1):
        tx.put("ir.model", model_id, {**stamp, "name": model.description, "model": model.name})
        for field in model.fields.values():
            field_id += 1
            values: dict[str, Any] = {
                "name": field.name,
                "model": model.name,
                "model_id": model_id,
                "ttype": field.type,
                "relation": field.relation or False,
                "field_description": field.string,
                "store": field.store,
            }
            tx.put("ir.model.fields", field_id, {**stamp, **values})
