"""What a way of talking to Odoo has to offer: XML-RPC, JSON-RPC and JSON-2 do."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bc_consumer.odoo.http import Response
from bc_consumer.odoo.records import Answer


class Transport(Protocol):
    """One protocol to one Odoo. Thread-safe. Raises the errors of ``errors.py`` only.

    ``AccessError`` of Odoo comes as OdooAccessError, for records and whole models alike: the
    caller finds out which.
    """

    @property
    def name(self) -> str:
        """The protocol, as ODOO_TRANSPORT names it."""

    @property
    def may_lag(self) -> bool:
        """Whether a read may see an older state than one that Odoo has committed."""

    def execute(
        self, model: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Answer:
        """Call a method of a model as the configured account."""

    def version(self) -> Answer:
        """Ask for the server's version text («17.0»); needs no credentials."""

    def close(self) -> None:
        """Give the connections back."""


def answer_of(value: Any, response: Response) -> Answer:
    """Put a decoded value together with what its exchange tells."""
    return Answer(
        value=value,
        received_bytes=len(response.body),
        seconds=response.seconds,
        server_date=response.server_date,
    )
