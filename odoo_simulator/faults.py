"""Faults on command: slowness, garbage, refusals, poisoned orders. Switchable while running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from odoo_simulator.errors import OdooError, PlainFault
from odoo_simulator.model_fields import Field, ModelSet

BetweenCalls = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Poison:
    """What happens to calls that touch one order: a fault, a delay in seconds, or both."""

    code: int | None
    text: str
    slow: float
    on_dates: bool


@dataclass(slots=True)
class _State:
    latency: float = 0.0
    per_order: float = 0.0
    drip: float = 0.0
    silent: bool = False
    answer: tuple[int, dict[str, str], bytes] | None = None
    answers_left: int | None = None
    huge: int = 0
    close_mid_response: bool = False
    fault: PlainFault | None = None
    faults_left: int | None = None
    poisoned: dict[int, Poison] = field(default_factory=dict)
    hidden_methods: frozenset[str] = frozenset()
    forbidden: dict[str, frozenset[int]] = field(default_factory=dict)
    denied_models: frozenset[str] = frozenset()
    empty: bool = False
    between_calls: BetweenCalls | None = None
    slow_commit: float = 0.0
    echo: bool = False


_BOMB = (
    "<?xml version='1.0'?>\n<!DOCTYPE bomb [\n<!ENTITY a0 'laughing'>\n"
    + "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>\n" for n in range(1, 11))
    + "]>\n<methodResponse><params><param><value><string>&a10;</string></value>"
    "</param></params></methodResponse>\n"
)


class Faults:
    """All faults of one simulator. `clear()` ends them all; `times` ends one after N answers."""

    def __init__(self, models: ModelSet) -> None:
        self._lock = threading.Lock()
        self._state = _State()
        self._models = models
        self._dropped: dict[tuple[str, str], Field | None] = {}
        self.on_refuse: Callable[[], None] = lambda: None
        self.on_accept: Callable[[], None] = lambda: None
        self.on_webhooks: Callable[[float, float], None] = lambda _loss, _doubling: None
        self.on_clock: Callable[[float], None] = lambda _offset: None

    @property
    def state(self) -> _State:
        return self._state

    # --- the whole server ---

    def latency(self, seconds: float, per_order: float = 0.0) -> None:
        """Delay each answer by `seconds`, plus `per_order` for each record in it."""
        self._state.latency, self._state.per_order = seconds, per_order

    def drip(self, seconds_per_byte: float) -> None:
        """Send bodies byte by byte: no single wait is long, but the whole is."""
        self._state.drip = seconds_per_byte

    def silence(self, on: bool = True) -> None:
        """Accept connections, read requests, never answer; `clear()` drops those that wait."""
        self._state.silent = on

    def http_status(
        self, status: int, headers: dict[str, str] | None = None, times: int | None = None
    ) -> None:
        """Answer with an HTTP error, as a proxy in front would (502, 429 with Retry-After)."""
        body = f"<html><body><h1>{status}</h1></body></html>".encode()
        self._answer((status, {"Content-Type": "text/html", **(headers or {})}, body), times)

    def garbage(self, times: int | None = None) -> None:
        """Answer 200 with a body that is not XML."""
        self._answer((200, {"Content-Type": "text/html"}, b"<html>\x00not a response</p>"), times)

    def xml_bomb(self, times: int | None = None) -> None:
        """Answer 200 with an entity bomb (10¹⁰ × 8 bytes once expanded)."""
        self._answer((200, {"Content-Type": "text/xml"}, _BOMB.encode()), times)

    def echo(self, on: bool = True) -> None:
        """Repeat the request in errors and ready-made pages: headers, body, and so the password."""
        self._state.echo = on

    def huge(self, size: int) -> None:
        """Pad well-formed answers to this many bytes."""
        self._state.huge = size

    def close_mid_response(self, on: bool = True) -> None:
        """Send half of the body, then drop the connection."""
        self._state.close_mid_response = on

    def fault_all(
        self,
        code: int = 1,
        text: str = "psycopg2.OperationalError: connection refused",
        times: int | None = None,
    ) -> None:
        """Make every call fault, as when Odoo's own database is away."""
        with self._lock:
            self._state.fault, self._state.faults_left = PlainFault(code, text), times

    def refuse(self) -> None:
        """Close the listening socket: connections are refused until `accept()`."""
        self.on_refuse()

    def accept(self) -> None:
        self.on_accept()

    def slow_commit(self, seconds: float) -> None:
        """Delay each commit by `seconds` after the work (and its early webhooks) is done."""
        self._state.slow_commit = seconds

    def clock(self, offset: float) -> None:
        """Set Odoo's clock (write_date, Date header) `offset` seconds ahead of the machine's."""
        self.on_clock(offset)

    def webhooks(self, loss: float = 0.0, doubling: float = 0.0) -> None:
        """Set the shares (0 to 1) of webhooks that are lost on the way, or arrive twice."""
        self.on_webhooks(loss, doubling)

    # --- records, fields, methods ---

    def poison(
        self,
        order_id: int,
        code: int | None = 1,
        text: str = "ValueError: poisoned",
        slow: float | None = None,
        on_dates: bool = False,
    ) -> None:
        """Make calls that read this order or its lines fault; with code None and `slow` only late.

        Reads of ids and dates alone succeed, as when one field is broken, unless `on_dates`.
        """
        with self._lock:
            poisoned = {**self._state.poisoned, order_id: Poison(code, text, slow or 0.0, on_dates)}
            self._state.poisoned = poisoned

    def cure(self, order_id: int) -> None:
        with self._lock:
            self._state.poisoned = {
                number: poison
                for number, poison in self._state.poisoned.items()
                if number != order_id
            }

    def hide_method(self, name: str) -> None:
        """Remove a method (fault 1, AttributeError), as in versions before 17."""
        self._state.hidden_methods |= {name}

    def between_calls(self, callback: BetweenCalls | None) -> None:
        """Run `callback(model, method)` after each read is computed, before it is sent."""
        self._state.between_calls = callback

    def forbid(self, ids: Iterable[int], model: str = "purchase.order") -> None:
        """Hide these records by a record rule: `read` faults (4), searches leave them out."""
        self._state.forbidden = {**self._state.forbidden, model: frozenset(ids)}

    def deny_model(self, model: str) -> None:
        """Deny all rights on a model: fault 4."""
        self._state.denied_models |= {model}

    def empty(self, on: bool = True) -> None:
        """Answer like a database without a single order."""
        self._state.empty = on

    def drop_field(self, model: str, name: str) -> None:
        """Remove a field, as an upgrade does: fault 1 for whoever asks for it."""
        self._dropped[(model, name)] = self._models.drop(model, name)

    def clear(self) -> None:
        """End every fault, closed sockets and dropped fields included."""
        with self._lock:
            self._state = _State()
        for (model, _name), dropped in self._dropped.items():
            self._models.restore(model, dropped)
        self._dropped.clear()
        self.on_webhooks(0.0, 0.0)
        self.on_clock(0.0)
        self.on_accept()

    # --- what the server asks ---

    def take_answer(self) -> tuple[int, dict[str, str], bytes] | None:
        """Return the ready-made answer that replaces this one, if any."""
        with self._lock:
            state = self._state
            answer = state.answer
            if answer is not None and state.answers_left is not None:
                state.answers_left -= 1
                if state.answers_left <= 0:
                    state.answer = None
            return answer

    def take_fault(self) -> OdooError | None:
        with self._lock:
            state = self._state
            fault = state.fault
            if fault is not None and state.faults_left is not None:
                state.faults_left -= 1
                if state.faults_left <= 0:
                    state.fault = None
            return fault

    def _answer(self, answer: tuple[int, dict[str, str], bytes], times: int | None) -> None:
        with self._lock:
            self._state.answer, self._state.answers_left = answer, times
