"""Finds the orders that an operator names by their references, as Odoo and the pages show them."""

from collections.abc import Collection, Sequence

from django.utils.translation import gettext as _

from bc_consumer.management.tables import aligned
from bc_consumer.models import BC
from bc_consumer.odoo import NamedOrder
from bc_consumer.refresh.odoo_connection import odoo

MOST_CANDIDATES = 20
"""Orders of one reference that are looked at."""


class NotOneOrder(Exception):
    """A reference names no order, or several; the text lists them."""


def find_orders(named: Collection[int | str]) -> list[int]:
    """Return the Odoo ids of these orders, each once, in their order; an int is an id already.

    A reference that the copy does not have is looked for in Odoo. Raises NotOneOrder, and what the
    gateway raises.
    """
    found = [one if isinstance(one, int) else _find(one) for one in named]
    return list(dict.fromkeys(found))


def _find(reference: str) -> int:
    candidates = _in_copy(reference) or odoo().listing.named(reference, limit=MOST_CANDIDATES)
    if not candidates:
        raise NotOneOrder(
            _('No order is called "%(name)s", neither in the copy nor in Odoo.')
            % {"name": reference}
        )
    if len(candidates) > 1:
        raise NotOneOrder("\n".join([_several(reference), *_listed(candidates)]))
    return candidates[0].id


def _in_copy(reference: str) -> list[NamedOrder]:
    orders = BC.objects.filter(name__iexact=reference).order_by("odoo_id")[:MOST_CANDIDATES]
    return [NamedOrder(bc.odoo_id, bc.name, _where(bc)) for bc in orders]


def _where(bc: BC) -> str:
    """Return what tells orders of one reference apart."""
    if bc.archived_at is None:
        return bc.company_name
    return _("%(company)s (archived)") % {"company": bc.company_name}


def _several(reference: str) -> str:
    return _('Several orders are called "%(name)s". Give the id of the one you mean:') % {
        "name": reference
    }


def _listed(candidates: Sequence[NamedOrder]) -> list[str]:
    return aligned([(f"#{one.id}", one.name, one.company) for one in candidates], margin="  ")
