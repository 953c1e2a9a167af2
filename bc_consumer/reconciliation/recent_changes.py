"""Which orders written lately differ from the copy, told from ids and dates: a page at a time.

Nothing here writes. Orders whose content may differ are returned; whoever asked marks them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Now

from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import BC, BCLine, CopyOrigin
from bc_consumer.odoo import (
    NAMING_MODELS,
    Field,
    FieldSet,
    Kind,
    Listed,
    ModelFields,
    Odoo,
)
from bc_consumer.refresh.mapping import current_versions, normalised_text


def proof_by_our_clock(proof: timedelta, here: datetime, at_odoo: datetime) -> timedelta:
    """Lengthen a proof by how far Odoo's clock is behind the database's; both were read together.

    Dates are Odoo's, and when an order was read is the database's: behind, Odoo's dates look older
    than they are. Ahead, they only look younger, and more is read again than needed.
    """
    return proof + max(here - at_odoo, timedelta(0))


@dataclass(slots=True)
class Page:
    """What one page of a listing showed."""

    suspects: set[int] = field(default_factory=set)
    """Orders to be fetched again."""
    differing: set[int] = field(default_factory=set)
    """Those of them that are known to differ; the rest is only not proven."""
    last_id: int = 0
    is_last: bool = True


def orders_page(
    odoo: Odoo,
    since: datetime | None,
    after_id: int,
    proof: timedelta,
    *,
    read_by: datetime | None = None,
) -> Page:
    """Compare one page of Odoo's orders, written since then, with the copy's dates.

    ``proof``: an order counts as proven when it was read that long after its write_date.
    ``read_by``: every order that was not read since then is a suspect: only its content can tell.
    """
    listed = odoo.listing.orders(since=since, after_id=after_id, limit=settings.SYNC_PAGE_SIZE)
    page = _page(listed, after_id)
    columns = ("odoo_id", "write_date", "synced_at", "archived_at", "forbidden_at")
    ids = [row.id for row in listed]
    known = {bc.odoo_id: bc for bc in BC.objects.filter(odoo_id__in=ids).only(*columns)}
    now = database_now()
    for row in listed:
        bc = known.get(row.id)
        if bc is None or bc.is_away or bc.write_date != row.write_date:
            page.differing.add(row.id)
        elif read_by is not None:
            if bc.synced_at is None or not read_by <= bc.synced_at <= now:
                page.suspects.add(row.id)
        elif not _proven(bc, row.write_date, proof, now):
            page.suspects.add(row.id)
    page.suspects |= page.differing
    return page


def lines_page(odoo: Odoo, since: datetime, after_id: int, proof: timedelta) -> Page:
    """Compare one page of Odoo's lines, written since then, with the copy's; give their orders."""
    listed = odoo.listing.lines(since=since, after_id=after_id, limit=settings.SYNC_PAGE_SIZE)
    page = _page(listed, after_id)
    ids = [row.id for row in listed]
    lines = BCLine.objects.filter(odoo_id__in=ids).select_related("bc")
    known = {line.odoo_id: line for line in lines}
    now = database_now()
    for row in listed:
        if row.order_id is None:
            continue
        line = known.get(row.id)
        if line is None or line.bc.odoo_id != row.order_id or line.write_date != row.write_date:
            page.differing.add(row.order_id)
        elif not _proven(line.bc, row.write_date, proof, now):
            page.suspects.add(row.order_id)
    page.suspects |= page.differing
    return page


def _page(listed: Sequence[Listed], after_id: int) -> Page:
    last_id = listed[-1].id if listed else after_id
    return Page(last_id=last_id, is_last=len(listed) < settings.SYNC_PAGE_SIZE)


def _proven(bc: BC, write_date: datetime | None, proof: timedelta, now: datetime) -> bool:
    if write_date is None:  # made by SQL: nothing tells when it changes
        return False
    # Read in the future: the clock was set back, and nothing tells when it was.
    return bc.synced_at is not None and write_date + proof < bc.synced_at <= now


def older_mapping(odoo: Odoo, after_id: int, limit: int) -> list[int]:
    """Return current orders that are to be read again, whatever their dates say."""
    older = to_be_read_again(odoo.field_set())
    rows = BC.objects.current().filter(older, odoo_id__gt=after_id)
    return list(rows.order_by("odoo_id").values_list("odoo_id", flat=True)[:limit])


Copied = type[BC] | type[BCLine]


def naming_models(odoo: Odoo) -> tuple[str, ...]:
    """Return the models whose records orders and lines name, those of extra fields included."""
    tables = _tables(odoo.field_set())
    models = {model for _table, fields in tables for _field, model in fields.naming}
    known = [model for model in NAMING_MODELS if model in models]
    return (*known, *sorted(models.difference(known)))


def _tables(fields: FieldSet) -> tuple[tuple[Copied, ModelFields], ...]:
    return (BC, fields.order), (BCLine, fields.line)


def names_page(odoo: Odoo, model: str, since: datetime, after_id: int) -> Page:
    """Look at one page of related records written since then; give orders with an older name."""
    limit = settings.SYNC_PAGE_SIZE
    renamed = odoo.listing.renamed(model, since=since, after_id=after_id, limit=limit)
    names = {record_id: normalised_text(name) for record_id, name in renamed}
    page = Page(last_id=max(names, default=after_id), is_last=len(renamed) < limit)
    if not names:
        return page
    for table, fields in _tables(odoo.field_set()):
        for named, relation in fields.naming:
            if relation == model:
                page.differing |= _with_older_name(table, named, names)
    page.suspects = set(page.differing)
    return page


def _with_older_name(table: Copied, named: Field, names: dict[int, str]) -> set[int]:
    """Return the orders that hold an older name than one of these in a field."""
    order = "odoo_id" if table is BC else "bc__odoo_id"
    many = named.kind is Kind.MANY2MANY
    if named.extra:
        return _with_older_extra(table, named.name, names, many=many)
    if many:
        rows = table._default_manager.exclude(**{named.name: []})
        return _among(rows.values_list(order, named.name), names)
    id_column, name_column = named.columns
    rows = table._default_manager.filter(**{f"{id_column}__in": list(names)})
    values = rows.values_list(order, id_column, name_column).distinct()
    return {odoo_id for odoo_id, record_id, name in values.iterator() if names[record_id] != name}


def _with_older_extra(table: Copied, name: str, names: dict[int, str], *, many: bool) -> set[int]:
    order = "odoo_id" if table is BC else "bc__odoo_id"
    # Not as a keyword: Odoo's names may hold two underscores.
    value = KeyTransform(name, "extra")
    rows: QuerySet[Any] = table._default_manager.annotate(value=value)
    if many:
        return _among(rows.exclude(value=None).values_list(order, "value"), names)
    rows = rows.annotate(record=KeyTransform("id", value)).filter(record__in=list(names))
    values = rows.values_list(order, "value").iterator()
    return {odoo_id for odoo_id, one in values if names[one["id"]] != one["name"]}


def _among(rows: "QuerySet[Any, tuple[int, Any]]", names: dict[int, str]) -> set[int]:
    """Return the orders whose list of records holds an older name."""
    return {
        odoo_id
        for odoo_id, records in rows.iterator()
        if any(names.get(one["id"], one["name"]) != one["name"] for one in records or ())
    }


def to_be_read_again(fields: FieldSet) -> Q:
    """Return the condition on orders; ``fields``: those that this Odoo has now."""
    made_otherwise = ~Q(mapping_version__in=current_versions(fields))
    since = CopyOrigin.objects.values_list("fields_changed_at", flat=True).first()
    if since is None:
        return made_otherwise
    # Read in the future: the clock was set back, and nothing tells when it was.
    return made_otherwise | Q(synced_at__lt=since) | Q(synced_at__gt=Now())
