"""The services `common` and `object`, independent of the transport."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from odoo_simulator.api_keys import ApiKeys
from odoo_simulator.company_access import as_seen_by
from odoo_simulator.errors import (
    AccessDenied,
    OdooError,
    PlainFault,
    SerializationFailure,
    ServerError,
    UnknownMethod,
    UnknownModel,
    UserError,
    ValidationError,
)
from odoo_simulator.faults import Faults
from odoo_simulator.methods import Methods
from odoo_simulator.reading import model_access_error

READING = frozenset(
    {
        "read",
        "search",
        "search_read",
        "search_count",
        "web_read",
        "web_search_read",
        "read_group",
        "formatted_read_group",
        "fields_get",
        "name_search",
    }
)


SOURCES = "en_US"
"""The language of Odoo's source texts."""

_DATES = frozenset({"id", "write_date", "create_date", "order_id"})


@dataclass(frozen=True, slots=True)
class User:
    id: int
    login: str
    password: str


class Service:
    """Authenticates, applies faults, and calls a model's method."""

    def __init__(
        self, version: int, database: str, users: Sequence[User], methods: Methods, faults: Faults
    ) -> None:
        self.version = version
        self.database = database
        self.users = {user.id: user for user in users}
        self.keys = ApiKeys()
        self.methods = methods
        self.faults = faults

    @property
    def languages(self) -> list[str]:
        """Return the codes of active languages; the first is every user's."""
        rows = self.methods.store.tables["res.lang"]
        found = [rows.get(number) for number in sorted(rows.ids())]
        return [str(row["code"]) for row in found if row and row.get("active", True)]

    def common(self, method: str, params: Sequence[Any]) -> Any:
        """Call version (no login), authenticate or login; False for a wrong password."""
        self._fault_if_asked()
        if method == "version":
            return self.version_info()
        if method in ("authenticate", "login"):
            database, login, secret = params[:3]
            self._check_database(database)
            for user in self.users.values():
                if user.login == login and self._accepts(user, secret):
                    return user.id
            return False
        raise ServerError("AttributeError", f"Method not found: {method}")

    def version_info(self) -> dict[str, Any]:
        return {
            "server_version": f"{self.version}.0",
            "server_version_info": [self.version, 0, 0, "final", 0, ""],
            "server_serie": f"{self.version}.0",
            "protocol_version": 1,
        }

    def execute(self, method: str, params: Sequence[Any]) -> Any:
        """Call execute_kw(database, uid, password, model, method, args, kwargs) or execute."""
        self._fault_if_asked()
        if method not in ("execute_kw", "execute") or len(params) < 5:
            raise ServerError("NameError", f"Method not available {method}")
        database, uid, secret, model, name = params[:5]
        self._check_database(database)
        user = self.users.get(uid) if isinstance(uid, int) else None
        if user is None or not self._accepts(user, secret):
            raise AccessDenied
        if method == "execute":
            args, kwargs = list(params[5:]), {}
        else:
            args = list(params[5]) if len(params) > 5 else []
            kwargs = dict(params[6]) if len(params) > 6 and params[6] else {}
        return self.call(user, model, name, args, kwargs)

    def execute_with_key(self, key: str, model: str, name: str, kwargs: dict[str, Any]) -> Any:
        """Make a JSON-2 call: an API key instead of uid and password, named arguments only."""
        self._fault_if_asked()
        owner = self.keys.user_of(key)
        user = self.users.get(owner) if owner is not None else None
        if user is None:
            raise AccessDenied
        return self.call(user, model, name, [], kwargs)

    def call(
        self, user: User, model: str, name: str, args: list[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Call one method of one model. Raises OdooError for whatever fails in it."""
        self._check_rights(model, name)
        self._check_language(name, kwargs.get("context"))
        try:
            with as_seen_by(self.methods.store, user.id, kwargs.get("context")):
                if (model, name) == ("res.users", "context_get"):
                    return {"lang": self.languages[0], "tz": False, "uid": user.id}
                result = self.methods.call(model, name, args, kwargs)
        except OdooError:
            raise
        except SerializationFailure as error:
            raise UserError(f"could not serialize access: {error}") from None
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            # A nonsensical argument makes Odoo's own code raise: fault 1 with its traceback.
            raise ServerError(type(error).__name__, str(error)) from error
        self._poison(model, name, args, kwargs, result)
        if name in READING and self.faults.state.between_calls is not None:
            self.faults.state.between_calls(model, name)
        return result

    def _accepts(self, user: User, secret: Any) -> bool:
        return secret == user.password or self.keys.user_of(secret) == user.id

    def _check_language(self, name: str, context: Any) -> None:
        """Refuse an inactive language in the context (18 and later), except for en_US.

        Searches return no texts and accept any language.
        """
        if name in ("search", "search_count") or self.version < 18:
            return  # 16 and 17 answer with the source texts (measured)
        code = context.get("lang") if isinstance(context, dict) else None
        if code and code != SOURCES and code not in self.languages:
            raise UserError(f"Invalid language code: {code}")

    def _check_database(self, database: Any) -> None:
        if database != self.database:
            raise ServerError(
                "psycopg2.OperationalError",
                'connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" failed: '
                f'FATAL:  database "{database}" does not exist',
            )

    def _check_rights(self, model: str, name: str) -> None:
        state = self.faults.state
        if model not in self.methods.models:
            raise UnknownModel(model)
        if model in state.denied_models:
            raise model_access_error(self.methods.models[model])
        if name.startswith("_"):
            raise PlainFault(
                4, f"Private methods (such as {model}.{name}) cannot be called remotely."
            )
        if name in state.hidden_methods:
            raise UnknownMethod(model, name)

    def _fault_if_asked(self) -> None:
        fault = self.faults.take_fault()
        if fault is not None:
            raise fault

    def _poison(
        self, model: str, name: str, args: list[Any], kwargs: dict[str, Any], result: Any
    ) -> None:
        poisoned = self.faults.state.poisoned
        if not poisoned:
            return
        if _reads_dates_only(name, args, kwargs):
            poisoned = {key: poison for key, poison in poisoned.items() if poison.on_dates}
        touched = self.methods.orders_touched(model, args, result)
        for number in sorted(touched & poisoned.keys()):
            poison = poisoned[number]
            if poison.slow:
                time.sleep(poison.slow)
            if poison.code == 2:
                raise ValidationError(poison.text)
            if poison.code is not None:
                raise PlainFault(poison.code, poison.text)


def _reads_dates_only(name: str, args: list[Any], kwargs: dict[str, Any]) -> bool:
    """Return whether a call asks only for ids and dates, not for contents."""
    if name in ("search", "search_count", "read_group", "formatted_read_group", "fields_get"):
        return True
    if name in ("read", "search_read"):
        asked = kwargs.get("fields") or (args[1] if len(args) > 1 else None)
    elif name in ("web_read", "web_search_read"):
        asked = kwargs.get("specification") or (args[1] if len(args) > 1 else None)
    else:
        return False
    return bool(asked) and set(asked or ()) <= _DATES
