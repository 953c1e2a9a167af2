"""The names of methods' positional arguments: JSON-2 takes named arguments only.

As Odoo 19 has them, the first version with JSON-2. A method that is not here gets its ids and what
it is given by name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.errors import OdooProtocolError

OF_MODELS: Mapping[str, tuple[str, ...]] = {
    "context_get": (),
    "create": ("vals_list",),
    "fields_get": ("allfields", "attributes"),
    "formatted_read_group": ("domain", "groupby", "aggregates", "having", "offset", "limit"),
    "read_group": ("domain", "fields", "groupby", "offset", "limit", "orderby", "lazy"),
    "search": ("domain", "offset", "limit", "order"),
    "search_count": ("domain", "limit"),
    "search_read": ("domain", "fields", "offset", "limit", "order"),
    "web_search_read": ("domain", "specification", "offset", "limit", "order", "count_limit"),
}
OF_RECORDS: Mapping[str, tuple[str, ...]] = {
    "has_access": ("operation",),
    "has_group": ("group_ext_id",),
    "read": ("fields", "load"),
    "web_read": ("specification",),
    "web_save": ("vals", "specification"),
    "write": ("vals",),
}


def named_arguments(method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Give all arguments by name, those of a record method with ``ids``.

    Raises OdooProtocolError for positional arguments whose names are not known.
    """
    names = OF_MODELS.get(method)
    if names is None:
        names = ("ids", *OF_RECORDS.get(method, ()))
    if len(args) > len(names):
        raise OdooProtocolError(
            _(
                "JSON-2 takes arguments by name, and those of %(method)s are not known: call"
                " it with named arguments after the ids",
                method=method,
            )
        )
    named = {**dict(zip(names, args, strict=False)), **kwargs}
    if isinstance(named.get("ids"), int):
        named["ids"] = [named["ids"]]
    return named
