"""Two workers whose transactions overlap: what one has not committed yet the other can't see."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from bc_consumer import ledger
from bc_consumer.ledger import Mark
from bc_consumer.models import BC, BCLine, PendingBC
from bc_consumer.refresh.writer import LinesElsewhere, apply
from tests.conftest import ON_SQLITE
from tests.db.modelled import Version, seen
from tests.services.waiting import wait_until

pytestmark = [
    pytest.mark.skipif(ON_SQLITE, reason="SQLite has one writer at a time"),
    pytest.mark.usefixtures("single_rows"),
]


def claim(odoo_id: int) -> tuple[uuid.UUID, PendingBC]:
    ledger.mark([odoo_id], Mark(cause="webhook"))
    token = uuid.uuid4()
    (row,) = ledger.claim(1, token).rows
    return token, row


@contextmanager
def in_another_thread(work: threading.Thread) -> Iterator[None]:
    """Begin it, and wait until it waits for a lock of ours."""
    work.start()
    waits = (
        "SELECT count(*) FROM pg_locks"
        " WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    )

    def is_waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(waits)
            return bool(cursor.fetchone()[0]) or not work.is_alive()

    wait_until(is_waiting, what="the other worker to wait for us")
    yield


def test_rule_4_a_line_that_another_worker_is_just_writing_is_not_taken_away() -> None:
    """Odoo moved a new line on before the copy had it under its first order."""
    first, first_row = claim(1)
    second, second_row = claim(2)
    raised: list[BaseException] = []

    def apply_the_second() -> None:
        try:
            apply(second, [seen(second_row, Version(2, frozenset({12})))], early=False)
        except LinesElsewhere as elsewhere:
            raised.append(elsewhere)
        finally:
            connection.close()

    with transaction.atomic():
        apply(first, [seen(first_row, Version(1, frozenset({11, 12})))], early=False)
        other = threading.Thread(target=apply_the_second)
        with in_another_thread(other):
            pass
    other.join(60)
    assert [error.ids for error in raised if isinstance(error, LinesElsewhere)] == [{1}]
    assert set(BCLine.objects.values_list("odoo_id", "bc__odoo_id")) == {(11, 1), (12, 1)}
    assert list(BC.objects.values_list("odoo_id", flat=True)) == [1]
    assert PendingBC.objects.get().claim_token == second
