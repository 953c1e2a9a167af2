"""Finds orders by what people know of one: its name, its id, a supplier, a reference, a product."""

from django.db.models import OuterRef, Q, Subquery, Value
from django.db.models.lookups import GreaterThan

from bc_consumer.console import filter_names
from bc_consumer.core.odoo_ids import HIGHEST_ID
from bc_consumer.models import BC, BCLine, JournalEntry, PendingBC

LONGEST_WORDS = 100
"""The most characters that are searched for."""
MANY_LINES = 30_000
"""Lines with the products that were searched for; more are a good part of all."""
LARGEST_ID = 2**63 - 1


def odoo_id_in(words: str) -> int | None:
    """Return the number that was typed, with or without "#"; None if it is not one."""
    number = words.strip().removeprefix("#")
    if not (number.isascii() and number.isdecimal()) or len(number) > len(str(LARGEST_ID)):
        return None
    return int(number) if int(number) <= LARGEST_ID else None


def readable(words: str) -> str:
    """Return what was typed without what no name can hold: PostgreSQL refuses a NUL."""
    return words.replace("\0", "").strip()[:LONGEST_WORDS]


def only_order(words: str) -> int | None:
    """Return the Odoo id of the one order that these words name exactly; None if there are more.

    An order can be given by its reference, by "#" and its id, or by its id alone unless another
    order has that name. It need not be in the copy: the ledger or the journal may know it alone,
    and with "#" nobody here, for it can be read from Odoo.
    """
    words = readable(words)
    named = list(BC.objects.filter(name__iexact=words).values_list("odoo_id", flat=True)[:2])
    number = odoo_id_in(words)
    if number is not None and words.startswith("#") and 0 < number <= HIGHEST_ID:
        return number
    if number is not None and not named and _is_known(number):
        return number
    return named[0] if len(named) == 1 else None


def _is_known(odoo_id: int) -> bool:
    return any(
        model.objects.filter(odoo_id=odoo_id).exists() for model in (BC, PendingBC, JournalEntry)
    )


def matching(words: str) -> Q:
    """Return the filter for orders that these words may mean."""
    words = readable(words)
    found = Q(name__icontains=words) | Q(partner_ref__icontains=words)
    if (number := odoo_id_in(words)) is not None:
        found |= Q(odoo_id=number)
    if suppliers := filter_names.ids_like(filter_names.suppliers(), words):
        found |= Q(partner_id__in=suppliers)
    if products := filter_names.ids_like(filter_names.products(), words):
        found |= _with_products(products)
    return found


def _with_products(products: list[int]) -> Q:
    """Return the filter for orders that have a line with one of these products.

    Few lines are read first, all of them. Where there are many, a list's page is soon full: its
    orders are asked one by one whether they have such a line.
    """
    lines = BCLine.objects.filter(product_id__in=products)
    if lines.order_by()[: MANY_LINES + 1].count() <= MANY_LINES:
        return Q(pk__in=lines.values("bc_id"))
    # A scalar subquery, for PostgreSQL may read EXISTS and IN as a list of all of them, and search
    # that for each order where it is too long to be hashed: minutes with 500,000 lines (measured).
    own = lines.filter(bc_id=OuterRef("pk")).order_by().values("pk")[:1]
    return Q(GreaterThan(Subquery(own), Value(0)))
