"""Finds orders of the copy that may be out of date, by dates, names and mapping: a page at a time.

1. ``compare_orders_page`` and ``compare_lines_page`` compare what Odoo has written in the window
   with the copy's dates. An equal date proves that the copy is equal only if the copy was read some
   time after it, the ``proof``: Odoo shows whole seconds, and a transaction may commit long after
   its date. Where dates are equal, one read within the run is enough (``_was_read_since``).
2. ``find_renamed_page`` finds orders that hold an older name of a related record: renaming a
   partner changes no date of the orders that name it.
3. ``older_mapping`` finds rows that are to be read again although Odoo is silent, because another
   mapping, or other fields, made them (docs/reading-again.md).

Nothing here writes or marks: the caller does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Q, QuerySet
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

CopiedModel = type[BC] | type[BCLine]


@dataclass(slots=True)
class Page:
    """What one page of a listing showed."""

    suspects: set[int] = field(default_factory=set)
    """Orders to be fetched again."""
    differing: set[int] = field(default_factory=set)
    """Those of them that are known to differ; the others are only not proven."""
    last_id: int = 0
    is_last: bool = True


# --- dates: orders and lines written in the window ----------------------------------------------


def compare_orders_page(
    odoo: Odoo,
    since: datetime | None,
    after_id: int,
    proof: timedelta,
    *,
    read_since: datetime | None = None,
    every: bool = False,
) -> Page:
    """Compare one page of Odoo's orders, written since ``since``, with the copy's dates.

    ``since`` None: all orders. ``proof``: an order counts as proven when it was read that long
    after its write_date. ``read_since``: when the run began; what was read since is a suspect only
    if its date differs. None: nothing was read. ``every``: all others are suspects, proven or not,
    because only their content can tell.
    """
    listed = odoo.listing.orders(since=since, after_id=after_id, limit=settings.SYNC_PAGE_SIZE)
    page = _empty_page(listed, after_id)
    # Rows of values: an object for each of thousands of orders takes as long as Odoo's answer.
    rows = BC.objects.current().filter(odoo_id__in=[row.id for row in listed])
    known = {
        odoo_id: (write_date, synced_at)
        for odoo_id, write_date, synced_at in rows.values_list("odoo_id", "write_date", "synced_at")
    }
    now = database_now()
    for row in listed:
        write_date, synced_at = known.get(row.id, (None, None))
        if row.id not in known or write_date != row.write_date:
            page.differing.add(row.id)
        elif not _was_read_since(synced_at, read_since, now) and (
            every or not _may_skip_read(synced_at, row.write_date, proof, now)
        ):
            page.suspects.add(row.id)
    page.suspects |= page.differing
    return page


def compare_lines_page(
    odoo: Odoo,
    since: datetime,
    after_id: int,
    proof: timedelta,
    *,
    read_since: datetime | None = None,
) -> Page:
    """Compare one page of Odoo's lines with the copy's; the page holds the orders of such lines.

    It has the lines written since ``since``. A line also differs where the copy has it under
    another order. ``proof`` and ``read_since``: as in ``compare_orders_page``.
    """
    listed = odoo.listing.lines(since=since, after_id=after_id, limit=settings.SYNC_PAGE_SIZE)
    page = _empty_page(listed, after_id)
    lines = BCLine.objects.filter(odoo_id__in=[row.id for row in listed])
    columns = ("odoo_id", "bc__odoo_id", "write_date", "bc__synced_at")
    known = {line[0]: line[1:] for line in lines.values_list(*columns)}
    now = database_now()
    for row in listed:
        if row.order_id is None:
            continue
        order_id, write_date, synced_at = known.get(row.id, (None, None, None))
        if order_id != row.order_id or write_date != row.write_date:
            page.differing.add(row.order_id)
        elif not (
            _was_read_since(synced_at, read_since, now)
            or _may_skip_read(synced_at, row.write_date, proof, now)
        ):
            page.suspects.add(row.order_id)
    page.suspects |= page.differing
    return page


def _empty_page(listed: Sequence[Listed], after_id: int) -> Page:
    last_id = listed[-1].id if listed else after_id
    return Page(last_id=last_id, is_last=len(listed) < settings.SYNC_PAGE_SIZE)


def _may_skip_read(
    synced_at: datetime | None, write_date: datetime | None, proof: timedelta, now: datetime
) -> bool:
    """Return whether the copy was read so long after this date that no change can hide behind it.

    ``same_date_changes.is_date_proven`` asks the same of an order with all its lines, to tell
    whether a difference that was found was hidden. A missing date counts for the opposite there.
    """
    if write_date is None:  # SQL created it: no date shows when it changes, so it is read again
        return False
    # Read in the future: the clock was set back, so the time of the read is unknown.
    return synced_at is not None and write_date + proof < synced_at <= now


def _was_read_since(synced_at: datetime | None, began: datetime | None, now: datetime) -> bool:
    """Return whether the read that last confirmed this order began since the run did.

    Such a read showed everything that was committed before the run began, and a run answers for no
    more than that: what is committed later is the next run's. A second read within the run would
    prove nothing more either, for it too comes sooner after the date than the proof asks for. What
    a later commit may hide under the same date is left to the next run: the order is still not
    proven then, and its date lies within the window of that run, which reaches back at least as far
    as the proof (SYNC_OVERLAP_SECONDS; of a poll, Odoo's longest transaction).

    It holds for lines as well: an order and its lines are one read. And for whoever has read: a
    worker that a webhook woke has seen as much as the run's own threads.
    """
    # Read in the future: the clock was set back, so the time of the read is unknown.
    return began is not None and synced_at is not None and began <= synced_at <= now


def proof_by_our_clock(proof: timedelta, here: datetime, at_odoo: datetime) -> timedelta:
    """Return the proof, lengthened by how far Odoo's clock is behind our database's.

    ``here`` and ``at_odoo``: both clocks, read together. Dates are by Odoo's clock, and the time of
    a read is by the database's. If Odoo's clock is behind, its dates look older than they are. If
    it is ahead, they only look younger, and more is read again than needed.
    """
    return proof + max(here - at_odoo, timedelta(0))


# --- names of related records -------------------------------------------------------------------


def naming_models(odoo: Odoo) -> tuple[str, ...]:
    """Return the models of the related records whose names orders and lines hold.

    Those of extra fields are included, after the usual ones.
    """
    tables = _tables_with_fields(odoo.field_set())
    models = {model for _table, fields in tables for _field, model in fields.naming}
    known = [model for model in NAMING_MODELS if model in models]
    return (*known, *sorted(models.difference(known)))


def find_renamed_page(odoo: Odoo, model: str, since: datetime, after_id: int) -> Page:
    """Return the orders that hold an older name, for one page of related records of this model.

    The page has the records written since ``since``.
    """
    limit = settings.SYNC_PAGE_SIZE
    renamed = odoo.listing.renamed(model, since=since, after_id=after_id, limit=limit)
    names = {record_id: normalised_text(name) for record_id, name in renamed}
    page = Page(last_id=max(names, default=after_id), is_last=len(renamed) < limit)
    if not names:
        return page
    for table, fields in _tables_with_fields(odoo.field_set()):
        for named, relation in fields.naming:
            if relation == model:
                page.differing |= _find_older_names(table, named, names)
    page.suspects = set(page.differing)
    return page


def _tables_with_fields(fields: FieldSet) -> tuple[tuple[CopiedModel, ModelFields], ...]:
    return (BC, fields.order), (BCLine, fields.line)


def _current_rows(table: CopiedModel) -> "QuerySet[Any]":
    """Return the rows of orders that Odoo shows us.

    Nothing follows a name into an archived order, which stays as it was when Odoo last had it, nor
    into a forbidden one, whose read would only be refused again. Should Odoo show it once more, the
    digest finds it, and its names come with that read.
    """
    if table is BC:
        return BC.objects.current()
    return BCLine.objects.filter(bc__archived_at__isnull=True, bc__forbidden_at__isnull=True)


def _find_older_names(table: CopiedModel, named: Field, names: dict[int, str]) -> set[int]:
    """Return the orders in which this field holds an older name than ``names`` has.

    Most records that were written have kept their names. So the database is asked first which
    different values there are, a few of a million lines, and for orders only where one is older.
    """
    rows = _current_rows(table)
    if named.kind is Kind.MANY2MANY or named.extra:
        return _find_older_values(rows, table, named, names)
    id_column, name_column = named.columns
    held = rows.filter(**{f"{id_column}__in": list(names)}).values_list(id_column, name_column)
    older = {record_id for record_id, name in _different(held) if names[record_id] != name}
    if not older:
        return set()
    values = rows.filter(**{f"{id_column}__in": older}).values_list(
        _order_column(table), id_column, name_column
    )
    return {
        odoo_id
        for odoo_id, record_id, name in values.distinct().iterator()
        if names[record_id] != name
    }


def _find_older_values(
    rows: "QuerySet[Any]", table: CopiedModel, named: Field, names: dict[int, str]
) -> set[int]:
    """The same for values in JSON: lists of records, and fields without a column."""
    # Not by a keyword: names of Odoo's fields may contain two underscores.
    value = KeyTransform(named.name, "extra") if named.extra else F(named.name)
    rows = rows.annotate(value=value)
    if named.kind is Kind.MANY2MANY:
        # By a keyword where there is a column: a value is compared as JSON there.
        rows = rows.exclude(value=None) if named.extra else rows.exclude(**{named.name: []})
    else:
        rows = rows.annotate(record=KeyTransform("id", value)).filter(record__in=list(names))
    if not any(_is_older(held, names) for (held,) in _different(rows.values_list("value"))):
        return set()
    values = rows.values_list(_order_column(table), "value").iterator()
    return {odoo_id for odoo_id, held in values if _is_older(held, names)}


def _is_older(held: Any, names: dict[int, str]) -> bool:
    """Return whether a record, or one of a list of records, holds an older name."""
    records = [held] if isinstance(held, dict) else held or ()
    return any(names.get(record["id"], record["name"]) != record["name"] for record in records)


def _different(values: "QuerySet[Any, Any]") -> Iterator[Any]:
    return values.order_by().distinct().iterator()


def _order_column(table: CopiedModel) -> str:
    return "odoo_id" if table is BC else "bc__odoo_id"


# --- reading again: another mapping, other fields -----------------------------------------------


def older_mapping(odoo: Odoo, after_id: int, limit: int) -> list[int]:
    """Return current orders to be read again, whatever their dates say; ascending by id."""
    older = to_be_read_again(odoo.field_set())
    rows = BC.objects.current().filter(older, odoo_id__gt=after_id)
    return list(rows.order_by("odoo_id").values_list("odoo_id", flat=True)[:limit])


def to_be_read_again(fields: FieldSet) -> Q:
    """Return the condition on orders that are to be read again, whatever their dates say.

    ``fields``: the fields that this Odoo has now. Besides the mapping version, a time counts:
    orders that were read before the set of fields last changed.
    """
    other_mapping = ~Q(mapping_version__in=current_versions(fields))
    changed_at = CopyOrigin.objects.values_list("fields_changed_at", flat=True).first()
    if changed_at is None:
        return other_mapping
    # Read in the future: the clock was set back, so the time of the read is unknown.
    return other_mapping | Q(synced_at__lt=changed_at) | Q(synced_at__gt=Now())
