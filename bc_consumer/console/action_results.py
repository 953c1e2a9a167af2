"""What an action has found, ready to be shown: the page's part for its kind, and what it tells."""

from typing import Any

from bc_consumer.models import OperatorAction


def shown_result(action: OperatorAction) -> dict[str, Any] | None:
    """Return the template for the action's result, and its context; None where a sentence is all."""
    return None
