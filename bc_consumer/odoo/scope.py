"""Which orders are copied: the account's, of the configured companies, in the configured domain.

Companies travel in the context of each call. Without them an account sees the orders of all its
companies; one that it may not see makes Odoo fault (measured on 17, 18 and 19).
"""

from dataclasses import dataclass
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.core.translatable import message_of
from bc_consumer.odoo.calls import Calls
from bc_consumer.odoo.domains import Domain, of_lines
from bc_consumer.odoo.errors import OdooAccessError, OdooFault, OdooRefused, OdooUnavailable


@dataclass(frozen=True, slots=True)
class Scope:
    """A choice of orders. ``company_ids`` empty: all that the account may see."""

    language: str = "en_US"
    domain: Domain = ()
    company_ids: tuple[int, ...] = ()

    @property
    def narrows(self) -> bool:
        """Whether an order may exist, be readable, and yet not be one of ours."""
        return bool(self.domain or self.company_ids)

    @property
    def open_context(self) -> dict[str, Any]:
        """The context in which all that the account may see shows, archived records too."""
        return {"lang": self.language, "active_test": False}

    @property
    def context(self) -> dict[str, Any]:
        """The context of each call about our orders."""
        if not self.company_ids:
            return self.open_context
        return {**self.open_context, "allowed_company_ids": list(self.company_ids)}

    def orders(self, *terms: Any) -> list[Any]:
        """Give the domain of our orders for which these terms hold too."""
        return [*terms, *self.domain]

    def lines(self, *terms: Any) -> list[Any]:
        """Give the domain of our orders' lines for which these terms hold too."""
        return [*terms, *of_lines(self.domain)]


def control(calls: Calls, model: str, scope: Scope) -> None:
    """Make the cheapest call that passes through everything a read of orders passes through.

    Raises OdooRefused where domain or companies are what Odoo can't take, OdooUnavailable where
    it can't search at all.
    """
    try:
        _search_nothing(calls, model, scope)
    except OdooFault as fault:
        _blame(calls, model, scope, fault)


def _blame(calls: Calls, model: str, scope: Scope, fault: OdooFault) -> None:
    """Find out whether it is the companies, the domain, or Odoo."""
    try:
        _search_nothing(calls, model, Scope(scope.language))
    except OdooFault as plain:
        raise OdooUnavailable(
            _("Odoo itself is in trouble, no order is: %(error)s", error=message_of(plain))
        ) from plain
    if scope.company_ids:
        try:
            _search_nothing(calls, model, Scope(scope.language, (), scope.company_ids))
        except OdooAccessError as refusal:
            raise OdooRefused(
                _(
                    "The account may not see all of ODOO_COMPANY_IDS %(company_ids)s (Odoo said:"
                    " %(message)s): give it these companies in Odoo, or correct the setting",
                    company_ids=", ".join(map(str, scope.company_ids)),
                    message=refusal.message,
                )
            ) from fault
    if scope.domain:
        raise OdooRefused(
            _(
                "Odoo can't search %(model)s by ODOO_DOMAIN (%(message)s): correct the"
                " setting; manage.py odoo_fields lists the fields of this Odoo",
                model=model,
                message=fault.message,
            )
        ) from fault
    raise OdooUnavailable(
        _("Odoo can't search %(model)s just now: %(error)s", model=model, error=message_of(fault))
    ) from fault


def _search_nothing(calls: Calls, model: str, scope: Scope) -> None:
    kwargs = {"limit": 1, "context": scope.context}
    calls.execute(model, "search", [scope.orders(("id", "=", 0))], kwargs)
