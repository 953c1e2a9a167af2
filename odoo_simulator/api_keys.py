"""API keys: accepted wherever a password is, and the only credentials that JSON-2 accepts."""

from __future__ import annotations

import secrets
import threading
import time

_DAY = 86_400.0


class ApiKeys:
    """All users' keys with their expiry. Thread-safe."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def add(self, user_id: int, key: str = "", days: float | None = None) -> str:
        """Give a user a key, by default a new one of Odoo's length, valid for `days`; return it."""
        key = key or secrets.token_hex(20)
        ends = float("inf") if days is None else time.time() + days * _DAY
        with self._lock:
            self._keys[key] = (user_id, ends)
        return key

    def revoke(self, key: str) -> None:
        with self._lock:
            self._keys.pop(key, None)

    def user_of(self, key: object) -> int | None:
        """Return the id of the user whose valid key this is; None if there is none."""
        with self._lock:
            user_id, ends = self._keys.get(str(key), (0, 0.0))
        return user_id if time.time() < ends else None
