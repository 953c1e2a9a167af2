"""Calls to Odoo as everything above the transports makes them: logged, and refusals told apart."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import (
    NoRights,
    OdooAccessError,
    OdooError,
    OdooFault,
)
from bc_consumer.odoo.records import Answer
from bc_consumer.odoo.transport import Transport

logger = logging.getLogger("bc_consumer.odoo")


class Calls:
    """Calls by one transport. Thread-safe."""

    def __init__(self, transport: Transport, account: str) -> None:
        self._transport = transport
        self._account = account  # for messages: the login

    def execute(
        self,
        model: str,
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        needed_models: Sequence[str] | None = (),
    ) -> Answer:
        """Call a method of a model; one line in the log (DEBUG) tells how it went.

        Raises NoRights where Odoo's access error concerns a whole model: ``model`` itself or
        one of ``needed_models``. None: the caller knows that it concerns records.
        """
        try:
            answer = self._transport.execute(model, method, args, kwargs)
        except OdooAccessError as error:
            self._log_failure(model, method, error)
            if needed_models is not None:
                self._refuse_without_rights(error, (model, *needed_models))
            raise
        except OdooError as error:
            self._log_failure(model, method, error)
            raise
        logger.debug(
            "%s.%s: %d ids, %.0f ms, %d bytes",
            model,
            method,
            _number_of_ids(args, kwargs),
            answer.seconds * 1000,
            answer.received_bytes,
        )
        return answer

    def _refuse_without_rights(self, error: OdooAccessError, models: Sequence[str]) -> None:
        """Tell «these records» from «this model», which Odoo's translated texts don't.

        A search leaves out the records that rules hide, and faults where the model as a whole
        may not be read (17, 18 and 19).
        """
        for suspect in dict.fromkeys(models):
            try:
                self._transport.execute(suspect, "search", [[("id", "=", 0)]], {"limit": 1})
            except OdooAccessError as refusal:
                raise NoRights(
                    _(
                        'The account "%(account)s" may not read %(suspect)s: give it the rights'
                        " of a user of that app in Odoo (it said: %(message)s)",
                        account=self._account,
                        suspect=suspect,
                        message=refusal.message,
                    ),
                    model=suspect,
                ) from error
            except OdooFault:
                continue

    def _log_failure(self, model: str, method: str, error: OdooError) -> None:
        logger.debug("%s.%s failed: %s: %s", model, method, type(error).__name__, error)


def _number_of_ids(args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """How many records a call names: as ids, or in a domain that begins with id in [...]."""
    first = args[0] if args else kwargs.get("domain", ())
    if isinstance(first, list | tuple) and first:
        if isinstance(first[0], int):
            return len(first)
        if isinstance(first[0], list | tuple) and list(first[0][:2]) == ["id", "in"]:
            return len(first[0][2])
    return 0
