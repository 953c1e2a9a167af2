"""Carries out the plan's faults, and repairs at each one's end what it broke."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Callable

from tests.chaos.plan import Fault, Operation
from tests.chaos.road import Why
from tests.chaos.scene import Scene
from tests.chaos.visitors import Visitors, is_healthy_at_the_end
from tests.flood import LEFT, Plan, flooding
from tests.services.owned import OwnedProcess
from tests.services.processes import children_of, signal_one
from tests.services.waiting import wait_until

WEB_SECONDS = 40.0
FORBIDDEN = 10
"""Orders that a record rule hides at the same time."""
STAGING_EVENTS = 30
UNKNOWN_IDS = 1_000_000
"""Above any id that a run assigns."""
DELETED = 4
"""Orders deleted unnoticed, and as many lines of other orders."""
OVERLOADED = 20
"""Orders among which an overload's events are distributed."""
CONNECTIONS = 64
IN_A_ROW = 10
"""Events in a row that must get into the ledger before all counts as healthy."""
HEALTHY_SECONDS = 60.0
STEPS = (30.0, 3600.0)
"""Seconds by which the database's clock is set: less than, and far beyond, any scheduled wait."""


class Saboteur:
    """Carries out faults on one scene; faults on one target must not overlap."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.poisoned: set[int] = set()
        """Orders that have caused failures of their own."""

    def carry_out(self, fault: Fault) -> None:
        """Break something, then repair it."""
        strike: Callable[[Fault], None] = getattr(self, f"_{fault.kind}")
        strike(fault)

    # --- processes ------------------------------------------------------------------------------

    def _kill_worker(self, fault: Fault) -> None:
        self._take_worker(fault).kill()
        self.scene.deployment.start_worker()

    def _restart_worker(self, fault: Fault) -> None:
        self._take_worker(fault).stop(20)
        self.scene.deployment.start_worker()

    def _take_worker(self, fault: Fault) -> OwnedProcess:
        workers = self.scene.deployment.workers
        return workers.pop(fault.dice % len(workers))

    def _suspend_worker(self, fault: Fault) -> None:
        """Suspend a worker beyond its lease: when it resumes, others have its rows."""
        workers = self.scene.deployment.workers
        worker = workers[fault.dice % len(workers)]
        worker.pause()
        time.sleep(fault.seconds)
        worker.resume()

    def _kill_web(self, _fault: Fault) -> None:
        web = self.scene.deployment.web
        assert web is not None
        web.kill()
        self._start_web()

    def _restart_web(self, _fault: Fault) -> None:
        web = self.scene.deployment.web
        assert web is not None
        web.stop(15)
        self._start_web()

    def _start_web(self) -> None:
        self.scene.deployment.start_web()
        wait_until(self.scene.is_web_up, WEB_SECONDS, what="the web process", every=0.1)

    def _kill_web_child(self, fault: Fault) -> None:
        """Kill one of the processes behind the web server's port.

        The server starts another one; killed twice within seconds, it ends as a whole (granian's
        "crash loop") and is restarted as docker-compose.yml would.
        """
        web = self.scene.deployment.web
        assert web is not None
        children = set(children_of().get(web.pid, []))
        if children:
            signal_one(sorted(children)[fault.dice % len(children)], signal.SIGKILL)
            wait_until(
                lambda: web.has_ended() or set(children_of().get(web.pid, [])) - children,
                WEB_SECONDS,
                what="another process for the one that was killed",
            )
        if web.has_ended():
            web.stop()
            self._start_web()

    def _delete_without_web(self, fault: Fault) -> None:
        web = self.scene.deployment.web
        assert web is not None
        web.stop(15)
        self._delete(fault)
        self._start_web()

    def _delete_without_servers(self, fault: Fault) -> None:
        """Delete while neither server answers: each event is refused."""
        self.scene.rabbitmq.pause()
        self.scene.postgres.pause()
        try:
            self._delete(fault)
        finally:
            self.scene.postgres.resume()
            self.scene.rabbitmq.resume()

    def _delete(self, fault: Fault) -> None:
        dice = random.Random(fault.dice)
        for kind in ("delete_order", "delete_line") * DELETED:
            self.scene.office.carry_out(Operation(-1, kind, dice.getrandbits(32)))

    def _kill_scheduler(self, _fault: Fault) -> None:
        scheduler = self.scene.deployment.scheduler
        assert scheduler is not None
        scheduler.kill()
        self.scene.deployment.start_scheduler()

    # --- RabbitMQ -------------------------------------------------------------------------------

    def _kill_broker(self, _fault: Fault) -> None:
        self.scene.rabbitmq.kill()
        self.scene.rabbitmq.start()

    def _restart_broker(self, _fault: Fault) -> None:
        self.scene.rabbitmq.restart()

    def _suspend_broker(self, fault: Fault) -> None:
        self.scene.rabbitmq.pause()
        time.sleep(fault.seconds)
        self.scene.rabbitmq.resume()

    def _alarm_broker(self, fault: Fault) -> None:
        self.scene.rabbitmq.raise_memory_alarm()
        time.sleep(fault.seconds)
        self.scene.rabbitmq.clear_memory_alarm()

    def _close_broker_connections(self, _fault: Fault) -> None:
        self.scene.rabbitmq.close_connections("/")

    # --- PostgreSQL -----------------------------------------------------------------------------

    def _kill_database(self, fault: Fault) -> None:
        self.scene.postgres.kill()
        time.sleep(fault.seconds)
        self.scene.postgres.start()

    def _restart_database(self, fault: Fault) -> None:
        self.scene.postgres.stop()
        time.sleep(fault.seconds)
        self.scene.postgres.start()

    def _suspend_database(self, fault: Fault) -> None:
        self.scene.postgres.pause()
        time.sleep(fault.seconds)
        self.scene.postgres.resume()

    def _page_views_without_database(self, fault: Fault) -> None:
        """View the live page many times meanwhile; the health check must answer all the same."""
        port = self.scene.deployment.port
        self.scene.postgres.pause()
        try:
            with Visitors(port):
                healthy = is_healthy_at_the_end(port, fault.seconds)
        finally:
            self.scene.postgres.resume()
        if not healthy:
            self.scene.complain("page views stopped /healthz while the database was away")

    def _clock_back(self, fault: Fault) -> None:
        self.scene.postgres.step_clock(-random.Random(fault.dice).choice(STEPS))

    def _clock_forward(self, fault: Fault) -> None:
        self.scene.postgres.step_clock(random.Random(fault.dice).choice(STEPS))
        self.scene.road.clock_set_forward_at = time.monotonic()

    # --- Odoo -----------------------------------------------------------------------------------

    def _odoo(self, fault: Fault, begin: Callable[[], object]) -> None:
        begin()
        time.sleep(fault.seconds)
        self.scene.odoo.faults.clear()

    def _odoo_refuses(self, fault: Fault) -> None:
        self._odoo(fault, self.scene.odoo.faults.refuse)

    def _odoo_slow(self, fault: Fault) -> None:
        latency = random.Random(fault.dice).choice((0.3, 1.0, 4.0))
        self._odoo(fault, lambda: self.scene.odoo.faults.latency(latency))

    def _odoo_drips(self, fault: Fault) -> None:
        self._odoo(fault, lambda: self.scene.odoo.faults.drip(0.01))

    def _odoo_busy(self, fault: Fault) -> None:
        wait = {"Retry-After": "1"}
        self._odoo(fault, lambda: self.scene.odoo.faults.http_status(429, wait))

    def _odoo_unavailable(self, fault: Fault) -> None:
        status = random.Random(fault.dice).choice((500, 502, 503, 504))
        self._odoo(fault, lambda: self.scene.odoo.faults.http_status(status))

    def _odoo_garbage(self, fault: Fault) -> None:
        self._odoo(fault, self.scene.odoo.faults.garbage)

    def _odoo_torn(self, fault: Fault) -> None:
        self._odoo(fault, self.scene.odoo.faults.close_mid_response)

    def _odoo_silent(self, fault: Fault) -> None:
        self._odoo(fault, self.scene.odoo.faults.silence)

    def _odoo_faults(self, fault: Fault) -> None:
        """Make every call fault with code 1, as while Odoo's own database restarts."""
        self._odoo(fault, self.scene.odoo.faults.fault_all)

    def _odoo_lacks_the_one_call(self, fault: Fault) -> None:
        """Read as before 17: orders and lines by two reads, hence at two moments."""
        self._odoo(fault, lambda: self.scene.odoo.faults.hide_method("web_search_read"))

    def _order_poisoned(self, fault: Fault) -> None:
        ids = self.scene.odoo.order_ids()
        order_id = ids[fault.dice % len(ids)]
        self.poisoned.add(order_id)
        self._odoo(fault, lambda: self.scene.odoo.faults.poison(order_id))

    def _orders_forbidden(self, fault: Fault) -> None:
        """Hide a few orders by a record rule for a while; no event reports when it ends."""
        dice = random.Random(fault.dice)
        ids = dice.sample(self.scene.odoo.order_ids(), FORBIDDEN)
        self.poisoned.update(ids)
        self._odoo(fault, lambda: self.scene.odoo.faults.forbid(ids))
        self.scene.doubts.add(ids, Why.HIDDEN)

    # --- webhooks -------------------------------------------------------------------------------

    def _webhooks_lost(self, fault: Fault) -> None:
        self._webhooks(fault, "losing", 0.3)

    def _webhooks_doubled(self, fault: Fault) -> None:
        self._webhooks(fault, "doubling", 0.5)

    def _webhooks_reordered(self, fault: Fault) -> None:
        self._webhooks(fault, "delaying", 0.6)

    def _webhooks(self, fault: Fault, what: str, share: float) -> None:
        setattr(self.scene.road, what, share)
        time.sleep(fault.seconds)
        setattr(self.scene.road, what, 0.0)

    def _staging_calls(self, fault: Fault) -> None:
        """Call us from a forgotten copy of this Odoo, about its own orders."""
        dice = random.Random(fault.dice)
        url = self.scene.deployment.webhook_url
        for _ in range(STAGING_EVENTS):
            known = dice.choice(self.scene.odoo.order_ids())
            soon = self.scene.odoo.last_order_id() + dice.randint(0, 3)
            odoo_id = dice.choice((known, soon, UNKNOWN_IDS + dice.randint(1, 1000)))
            body = f'{{"_model": "purchase.order", "_id": {odoo_id}, "id": {odoo_id}}}'
            event = dice.choice(("", "?event=deleted"))
            self.scene.road.deliver(url + event, body.encode())
            time.sleep(fault.seconds / STAGING_EVENTS)

    def _overload(self, fault: Fault) -> None:
        """Send far more events than any real Odoo; nothing else is broken meanwhile."""
        self._wait_healthy()
        ids = random.Random(fault.dice).sample(self.scene.odoo.order_ids(), OVERLOADED)
        events = itertools.islice(itertools.cycle(ids), 100_000)
        url = self.scene.deployment.webhook_url
        with flooding(Plan(url, tuple(events), CONNECTIONS, fault.seconds)) as sending:
            sent = sending.result()
        refused = sum(one.status not in {202, LEFT} for one in sent)
        queued = sum(one.kept_in == "queue" for one in sent)
        if refused or queued:
            text = f"{len(sent)} events at once: {refused} refused, {queued} in the fallback queue"
            self.scene.complain(f"overload with both servers healthy: {text}")

    def _wait_healthy(self) -> None:
        """Wait until each web process considers both servers healthy, and is healthy itself."""

        def is_healthy() -> bool:
            known = {"_model": "purchase.order", "_id": self.scene.odoo.order_ids()[0]}
            answers = (self.scene.deployment.post(known) for _ in range(IN_A_ROW))
            return all(
                answer.status == 202 and answer.json()["kept_in"] == "ledger" for answer in answers
            )

        wait_until(is_healthy, HEALTHY_SECONDS, what="both servers to be well", every=0.5)
