"""Who may ask for which action. The pages ask, and ``action_requests`` asks once more.

``installation/permissions.py`` gives these permissions to groups.
"""

from typing import Any, Protocol

from django.core.exceptions import PermissionDenied

from bc_consumer.models import OperatorAction, permission_for

Kind = OperatorAction.Kind
APP = "bc_consumer"
FORMERLY = "change_pendingbc"
"""The permission to have orders read again, before each action had its own; groups of customers
hold it."""
COVERED_BY_IT = frozenset({Kind.READ_AGAIN, Kind.REPLAY, Kind.MARK_DIFFERENCES})

SETS_THE_BRAKE_ASIDE = frozenset({Kind.ARCHIVE})
"""Kinds that set it aside by what they are."""


class Requester(Protocol):
    """A user of Django, or nobody (AnonymousUser)."""

    @property
    def pk(self) -> Any:
        """The key; None for nobody."""

    @property
    def is_active(self) -> Any:
        """Whether the user may log in."""

    def has_perm(self, perm: str, /) -> bool:
        """Return whether the user has this permission."""

    def get_username(self) -> str:
        """Return the name that identifies the user; "" for nobody."""


def may(user: Requester, kind: OperatorAction.Kind, *, forced: bool = False) -> bool:
    """Return whether this user may ask for this kind of action.

    ``forced``: the archive brake, or the owner of the lock, is set aside.
    """
    forced = forced or kind in SETS_THE_BRAKE_ASIDE
    if not user.is_active or (forced and not _has(user, OperatorAction.FORCE)):
        return False
    return _has(user, permission_for(kind)) or (kind in COVERED_BY_IT and _has(user, FORMERLY))


def may_see_tracebacks(user: Requester) -> bool:
    """Return whether this user may see tracebacks."""
    return bool(user.is_active) and _has(user, OperatorAction.SEE_TRACEBACKS)


def check_right(user: Requester, kind: OperatorAction.Kind, *, forced: bool = False) -> None:
    """Raise PermissionDenied, which Django answers with 403, where the user may not ask for it."""
    if not may(user, kind, forced=forced):
        raise PermissionDenied(f"{user.get_username()} may not ask for {kind.value}")


def _has(user: Requester, codename: str) -> bool:
    return user.has_perm(f"{APP}.{codename}")
