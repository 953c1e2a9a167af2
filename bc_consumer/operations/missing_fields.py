"""Alerts people, once, to fields that should be copied but are missing in this Odoo.

Fields named in the settings always raise the alert; the copy's own columns only if this Odoo once
had them: many databases have no receipts, and so no receipt status.
"""

import contextlib
import difflib

from django.conf import settings
from django.db import transaction

from bc_consumer.core.translatable import Message, joined
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import Alert, CopyOrigin
from bc_consumer.odoo import FieldSet, Odoo, OdooError
from bc_consumer.operations.alerts import alert, resolve_alert

KEY = "fields lack: "
"""Prefix of the alert's key; the names follow, so that another field is another alert."""
MEANWHILE = _(
    "Missing fields are left out: the copy keeps their last values, and everything else "
    "continues. The alert ends once the field is back or no longer configured."
)

_looked_at: FieldSet | None = None


def alert_to_missing_fields(odoo: Odoo) -> None:
    """Record which fields this Odoo has, upon any change; alert to missing ones.

    Alerts about fields that are back are resolved. Where a field has come, all orders are read
    again.
    """
    global _looked_at  # noqa: PLW0603 (one a process, as the gateway is)
    fields = odoo.known_fields
    if fields is None or fields is _looked_at:
        return
    if fields == _looked_at:
        _looked_at = fields
        return
    names = _record_fields(fields)
    key = KEY + ", ".join(names)
    for other in Alert.objects.filter(key__startswith=KEY).exclude(key=key):
        resolve_alert(other.key)
    if names:
        subject = _("Odoo lacks %(names)s", names=", ".join(names))
        alert(key, subject, joined("\n", *_told(odoo, names, fields)))
    _looked_at = fields


def forget() -> None:
    """Make the next ``alert_to_missing_fields`` look again; it alerts anew if a day has passed."""
    global _looked_at  # noqa: PLW0603
    _looked_at = None


def recheck_fields(odoo: Odoo) -> None:
    """Ask Odoo again which fields it has, and alert to those that are missing.

    Raises whatever the gateway raises.
    """
    forget()
    odoo.forget_fields()
    odoo.field_set()
    alert_to_missing_fields(odoo)


def similar_fields(odoo: Odoo, name: str) -> list[str]:
    """Return fields of this Odoo with names similar to "model.field", which it lacks."""
    model, _dot, field = name.rpartition(".")
    with contextlib.suppress(OdooError):
        return difflib.get_close_matches(field, odoo.fields_of(model), n=3, cutoff=0.7)
    return []


def _record_fields(fields: FieldSet) -> list[str]:
    """Store which fields this Odoo has; return those that it should have but has not.

    A field that has appeared, or come back, is missing from every order read before.
    """
    with transaction.atomic():
        origin, _ = CopyOrigin.objects.select_for_update().get_or_create(
            key=CopyOrigin.KEY, defaults={"order_model": settings.ODOO_ORDER_MODEL}
        )
        labels = {"order": dict(fields.order.labels), "line": dict(fields.line.labels)}
        if origin.labels != labels:
            origin.labels = labels
            origin.save(update_fields=["labels"])
        before, now = set(origin.present_fields), set(fields.present)
        seen = now.union(origin.seen_fields)
        if before != now:
            if before and not before >= now:
                origin.have_all_read_again()
            origin.seen_fields, origin.present_fields = sorted(seen), sorted(now)
            origin.save(update_fields=["seen_fields", "present_fields", "fields_changed_at"])
    return sorted(name for name in fields.absent if name in seen or name in fields.chosen)


def _told(odoo: Odoo, names: list[str], fields: FieldSet) -> list[Message]:
    sentences = [_sentence(odoo, name, chosen=name in fields.chosen) for name in names]
    return [*sentences, MEANWHILE]


def _sentence(odoo: Odoo, name: str, *, chosen: bool) -> Message:
    model, _dot, field = name.rpartition(".")
    told = _(
        "%(model)s has no field %(field)s in this Odoo, or does not show it to this account.",
        model=model,
        field=field,
    )
    if not chosen:
        return joined(" ", told, _("It had it before: was an app removed, or Odoo upgraded?"))
    near = similar_fields(odoo, name)
    named = _("ODOO_EXTRA_FIELDS or ODOO_EXTRA_LINE_FIELDS names it.")
    hint = _("Did you mean %(names)s?", names=" / ".join(near)) if near else ""
    return joined(" ", told, named, hint)
