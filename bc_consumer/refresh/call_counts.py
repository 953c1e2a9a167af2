"""Counts the calls to Odoo for a monitoring system."""

from bc_consumer.core import process_state
from bc_consumer.core.counters import OTHER, totals
from bc_consumer.models.metrics import ODOO_CALL_DURATION, ODOO_ERRORS, ODOO_RECEIVED_BYTES
from bc_consumer.odoo import (
    OdooAccessError,
    OdooBusy,
    OdooError,
    OdooFault,
    OdooInterrupted,
    OdooProtocolError,
    OdooRefused,
    OdooTimeout,
    OdooTorn,
    OdooUnavailable,
    ResponseTooLarge,
)

KINDS: tuple[tuple[type[OdooError], str], ...] = (
    (OdooTimeout, "timeout"),
    (OdooBusy, "busy"),
    (OdooInterrupted, "interrupted"),
    (OdooUnavailable, "unavailable"),
    (OdooRefused, "refused"),
    (OdooTorn, "torn"),
    (OdooAccessError, "access"),
    (OdooFault, "fault"),
    (ResponseTooLarge, "too_large"),
    (OdooProtocolError, "protocol"),
)
"""Errors and what they are counted as; a subclass stands before its base."""


class CountingObserver:
    """Counts the calls of one gateway."""

    def exchange_ended(self, seconds: float, received_bytes: int) -> None:
        """Count one exchange."""
        totals.observe(ODOO_CALL_DURATION, seconds)
        totals.add(ODOO_RECEIVED_BYTES, received_bytes)

    def answered(self) -> None:
        """Note that Odoo answers: the process's heart tells when it last did."""
        process_state.odoo_answer.note()

    def call_failed(self, error: OdooError) -> None:
        """Count one failed call."""
        totals.add(ODOO_ERRORS, kind=kind_of(error))


def kind_of(error: OdooError) -> str:
    """Return what this error is counted as."""
    return next((kind for class_, kind in KINDS if isinstance(error, class_)), OTHER)
