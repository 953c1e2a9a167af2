"""Which buttons a reader is shown."""

from django.http import HttpRequest

from bc_consumer.models import OperatorAction
from bc_consumer.operations.rights import may


def is_permitted(request: HttpRequest, kind: str, *, forced: bool = False) -> bool:
    """Return whether the reader may ask for this kind of action; ``forced``: past a safeguard."""
    return may(request.user, OperatorAction.Kind(kind), forced=forced)
