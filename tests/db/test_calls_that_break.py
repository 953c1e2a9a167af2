"""Rule 6: an order at which Odoo, or a proxy, breaks off the call harms only itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from django.conf import LazySettings
from django.db.models.functions import Now

from bc_consumer import ledger
from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import Mark, circuit_breaker
from bc_consumer.models import BC, Pace, PendingBC, SyncLog
from bc_consumer.odoo import Fetched, Odoo, OdooUnavailable
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from bc_consumer.refresh.batch import work_off
from odoo_simulator import Simulator
from tests.comparing import differences
from tests.db.test_refresh import LINES, sql

pytestmark = pytest.mark.usefixtures("odoo")
WEBHOOK = Mark(cause="webhook")
Break = Callable[[Callable[[Sequence[int]], bool]], None]


@pytest.fixture
def break_calls(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Let calls for orders be answered by 502 where the given function says so."""
    fetch = Odoo.fetch

    def arrange(breaks: Callable[[Sequence[int]], bool]) -> None:
        def broken(odoo: Odoo, ids: Sequence[int]) -> Fetched:
            if breaks(ids):
                raise OdooUnavailable(
                    verbatim("the proxy answered HTTP 502"), status=502, may_be_the_call=True
                )
            return fetch(odoo, ids)

        monkeypatch.setattr(Odoo, "fetch", broken)

    return arrange


def work_on(rounds: int = 12) -> None:
    """Work on as time goes by."""
    for _ in range(rounds):
        Pace.objects.update(next_claim_at=Now())
        PendingBC.objects.filter(failed_at__isnull=True).update(due_at=Now())
        if not work_off():
            return


def test_rule_6_an_order_that_breaks_the_call_stops_no_other(
    simulator: Simulator, break_calls: Break, settings: LazySettings
) -> None:
    # The copy has one that is known to be good. Else one of Odoo's is drawn, perhaps the bad one.
    ledger.mark([simulator.create_order(lines=LINES)], WEBHOOK)
    work_on()
    ids = [simulator.create_order(lines=LINES) for _ in range(20)]
    break_calls(lambda asked: ids[7] in asked)
    ledger.mark(ids, WEBHOOK)
    work_off()  # one turn, without waiting for anything
    others = [odoo_id for odoo_id in ids if odoo_id != ids[7]]
    assert differences(simulator, sql, others) == []
    assert circuit_breaker.current_outage() is None
    work_on()
    row = PendingBC.objects.get()
    assert (row.odoo_id, row.attempts) == (ids[7], settings.MAX_ATTEMPTS)
    assert row.failed_at is not None
    assert "HTTP 502" in row.last_error


def test_rule_6_many_orders_that_only_together_break_the_call_are_read_in_parts(
    simulator: Simulator, break_calls: Break
) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(20)]
    break_calls(lambda asked: len(asked) > 6)
    ledger.mark(ids, WEBHOOK)
    work_off()
    assert not PendingBC.objects.exists()
    assert differences(simulator, sql, ids) == []


def test_rule_7_a_5xx_that_does_not_come_again_uses_no_attempt(
    simulator: Simulator, break_calls: Break
) -> None:
    good, other = (simulator.create_order(lines=LINES) for _ in range(2))
    ledger.mark([good], WEBHOOK)
    work_off()
    answers = iter([True])
    break_calls(lambda asked: asked == [other] and next(answers, False))
    ledger.mark([other], WEBHOOK)
    work_off()
    assert PendingBC.objects.get().attempts == 0
    work_on()
    assert differences(simulator, sql) == []


def test_rule_7_an_odoo_behind_a_proxy_without_answers_fails_no_order(
    simulator: Simulator, break_calls: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(3)]
    break_calls(lambda _asked: True)

    def away(_odoo: Odoo) -> None:
        raise OdooUnavailable(verbatim("HTTP 502"), status=502, may_be_the_call=True)

    monkeypatch.setattr(Odoo, "ping", away)
    ledger.mark(ids, WEBHOOK)
    work_off()
    assert set(PendingBC.objects.values_list("attempts", flat=True)) == {0}
    assert circuit_breaker.current_outage() is not None


@pytest.mark.timeout(60)
def test_rule_8_a_run_ends_where_no_order_can_be_read(simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(3)]
    reconcile(RunRequest(SyncLog.Cause.COMMAND))
    for odoo_id in ids:
        simulator.faults.poison(odoo_id)
        simulator.write_order(odoo_id, partner_ref="new")
    done = reconcile(RunRequest(SyncLog.Cause.COMMAND, full=True))
    assert done.status == SyncLog.Status.REFUSED
    assert "reads no order" in done.error
    assert BC.objects.count() == 3


@pytest.mark.timeout(60)
def test_rule_8_a_run_ends_when_its_own_threads_have_ended(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(**_: object) -> int:
        raise RuntimeError("nobody foresaw this")

    simulator.create_order(lines=LINES)
    monkeypatch.setattr("bc_consumer.reconciliation.run.work_off", lose)
    monkeypatch.setattr("bc_consumer.reconciliation.run.MOST_ERRORS", 2)
    done = reconcile(RunRequest(SyncLog.Cause.COMMAND))
    assert done.status == SyncLog.Status.FAILED
    assert "nobody foresaw this" in done.error
