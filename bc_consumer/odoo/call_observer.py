"""What the gateway tells of its calls to whoever measures them."""

from typing import Protocol

from bc_consumer.odoo.errors import OdooError


class CallObserver(Protocol):
    """Is told of each exchange and of each failed call, in the thread that made it.

    It must neither wait nor raise.
    """

    def exchange_ended(self, seconds: float, received_bytes: int) -> None:
        """One HTTP exchange has ended, successfully or not; bytes are counted decompressed."""

    def answered(self) -> None:
        """Odoo has answered, be it with an error of its own."""

    def call_failed(self, error: OdooError) -> None:
        """A call of a model's method has failed."""


class NoObserver:
    """Listens to nothing."""

    def exchange_ended(self, seconds: float, received_bytes: int) -> None:
        """Do nothing."""

    def answered(self) -> None:
        """Do nothing."""

    def call_failed(self, error: OdooError) -> None:
        """Do nothing."""
