"""What a way of talking to Odoo has to offer (XML-RPC today; the JSON protocols fit in too)."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bc_consumer.odoo.records import Answer


class Transport(Protocol):
    """One protocol to one Odoo. Thread-safe. Raises the errors of ``errors.py`` only.

    ``AccessError`` of Odoo comes as OdooAccessError, for records and whole models alike: the
    caller finds out which.
    """

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call a method of a model as the configured account."""

    def version(self) -> Answer:
        """Ask for the server's version text («17.0»); needs no credentials."""

    def close(self) -> None:
        """Give the connections back."""
