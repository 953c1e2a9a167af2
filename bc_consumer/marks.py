"""What a marker knows of an order, and many marks made one for each order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from bc_consumer.models import Event, Lane

NAMED = 20
"""Orders in one line of a log."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a marker knows: who says so, what happened, how urgent it is."""

    cause: str
    event: Event = Event.CHANGED
    lane: Lane = Lane.WEBHOOK
    early: bool = False
    """Odoo may have sent this before its commit."""
    payload: str = ""
    """What the caller sent, as it was sent, for operators."""
    run: int | None = None
    """The reconciliation run that marks, by the key of its SyncLog."""


def in_short(odoo_ids: Sequence[int]) -> str:
    """Name these orders in a log line, which stays one however many they are."""
    named = ", ".join(str(odoo_id) for odoo_id in odoo_ids[:NAMED])
    return named if len(odoo_ids) <= NAMED else f"{named} and {len(odoo_ids) - NAMED} more"


@dataclass(frozen=True, slots=True)
class Merged:
    """Marks as one statement takes them."""

    items: list[dict[str, Any]]
    """One an order, ascending: one statement may touch each row only once."""
    payloads: list[str]
    """Each once, however many orders it names; an item has its place here, or None."""


def merged(marks: Iterable[tuple[int, Mark]]) -> Merged:
    """Make one item for each order."""
    first_look = 0.0 if settings.ODOO_WEBHOOK_TIMING == "auto" else settings.EARLY_LOOKS[0]
    items: dict[int, dict[str, Any]] = {}
    for odoo_id, mark in marks:
        new = {
            "id": odoo_id,
            "marks": 1,
            "lane": mark.lane.value,
            "causes": mark.cause,
            "event": mark.event.value,
            "early": mark.early,
            "delay": first_look if mark.early else 0.0,
            "payload": mark.payload,
            "run": mark.run,
        }
        old = items.get(odoo_id)
        items[odoo_id] = new if old is None else _merge(old, new)
    places: dict[str, int] = {}
    for item in items.values():
        payload = item["payload"]
        item["payload"] = places.setdefault(payload, len(places)) if payload else None
    return Merged([items[odoo_id] for odoo_id in sorted(items)], list(places))


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    deleted = Event.DELETED.value
    return {
        "id": old["id"],
        "marks": old["marks"] + 1,
        "lane": min(old["lane"], new["lane"]),
        "causes": ",".join(dict.fromkeys([*old["causes"].split(","), new["causes"]])),
        "event": deleted if deleted in {old["event"], new["event"]} else new["event"],
        "early": old["early"] or new["early"],
        "delay": min(old["delay"], new["delay"]),
        "payload": new["payload"] or old["payload"],
        "run": new["run"] if old["run"] is None else old["run"],
    }
