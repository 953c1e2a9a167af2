"""Which orders are copied: the account's, of the configured companies, in the configured domain.

Companies travel in the context of each call. Without them an account sees the orders of all its
companies; a company that it may not see makes Odoo fault (measured on 17, 18 and 19).
"""

from dataclasses import dataclass
from typing import Any

from bc_consumer.odoo.domains import Domain, move_to_lines


@dataclass(frozen=True, slots=True)
class Scope:
    """The choice of orders. ``company_ids`` empty: all companies that the account may see."""

    language: str = "en_US"
    domain: Domain = ()
    company_ids: tuple[int, ...] = ()

    @property
    def narrows(self) -> bool:
        """Whether an order may exist, be readable, and still not be one to copy."""
        return bool(self.domain or self.company_ids)

    @property
    def open_context(self) -> dict[str, Any]:
        """The context in which the account sees all that it may, archived records included."""
        return {"lang": self.language, "active_test": False}

    @property
    def context(self) -> dict[str, Any]:
        """The context of each call about orders to copy."""
        if not self.company_ids:
            return self.open_context
        return {**self.open_context, "allowed_company_ids": list(self.company_ids)}

    def order_domain(self, *terms: Any) -> list[Any]:
        """Return the domain of the orders to copy to which these terms apply too."""
        return [*terms, *self.domain]

    def line_domain(self, *terms: Any) -> list[Any]:
        """Return the domain of the lines of orders to copy to which these terms apply too."""
        return [*terms, *move_to_lines(self.domain)]
