"""A database that is slow is not one that is away: no event is refused or put aside for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import psycopg2
import pytest

from odoo_simulator import Simulator
from tests.burst import burst
from tests.comparing import differences
from tests.harness import AS_MANY_AS_BY_DEFAULT, Deployment

pytestmark = [
    pytest.mark.alone,
    pytest.mark.simulator(version=17, webhook_timing="committed"),
    pytest.mark.deployment(
        shared=True,
        workers=1,
        settings=AS_MANY_AS_BY_DEFAULT | {"ODOO_WEBHOOK_TIMING": "committed"},
    ),
]

TABLE = "bc_consumer_pendingbc"
SLEEPS = """
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION slow()"""


UNDO = """
    DROP FUNCTION IF EXISTS slow CASCADE;
    UPDATE bc_consumer_pace SET next_claim_at = now()"""


@pytest.fixture(autouse=True)
def _as_before(deployment: Deployment) -> Iterator[None]:
    """Undo what made the database slow, and kept the workers from their work."""
    yield
    deployment.sql(UNDO)


def kept_in(deployment: Deployment, ids: list[int]) -> set[str]:
    payloads = [{"_model": "purchase.order", "_id": odoo_id} for odoo_id in ids]
    answers = burst(deployment.webhook_url, payloads)
    return {(answer.body or {}).get("kept_in", str(answer.status)) for answer in answers}


def warm_up(deployment: Deployment, odoo: Simulator) -> None:
    """Some orders through everything, so that connections are made and processes are awake."""
    ids = list(odoo.bulk_create(20, 1))
    assert kept_in(deployment, ids) == {"ledger"}
    deployment.wait_until(lambda: not differences(odoo, deployment.sql, ids), what="the warm-up")


def test_each_mark_takes_a_quarter_of_a_second(
    deployment: Deployment, simulator: Simulator
) -> None:
    """A busy disk or machine; the server answers whoever asks it meanwhile."""
    warm_up(deployment, simulator)
    ids = list(simulator.bulk_create(50, 1))
    deployment.sql(SLEEPS.format(seconds=0.25, table=TABLE))
    assert kept_in(deployment, ids) == {"ledger"}
    deployment.wait_until(lambda: not differences(simulator, deployment.sql, ids), what="them")
    assert "The database is away" not in deployment.logs()


def test_a_row_that_a_transaction_at_work_has_locked(
    deployment: Deployment, simulator: Simulator
) -> None:
    """Workers lock the rows that they settle; on a busy machine their commit takes long."""
    warm_up(deployment, simulator)
    deployment.sql("UPDATE bc_consumer_pace SET next_claim_at = now() + interval '1 hour'")
    ids = list(simulator.bulk_create(50, 1))
    assert kept_in(deployment, ids) == {"ledger"}
    with psycopg2.connect(deployment.database_url) as worker, worker.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {TABLE} WHERE odoo_id = %s FOR UPDATE", [ids[7]])

        def commit_soon() -> None:
            cursor.execute("SELECT pg_sleep(0.3)")
            worker.commit()

        at_work = threading.Thread(target=commit_soon)
        at_work.start()
        assert kept_in(deployment, ids) == {"ledger"}
        at_work.join()
    worker.close()
    assert "The ledger is locked" not in deployment.logs()


def test_a_row_that_a_worker_without_a_processor_has_locked(
    deployment: Deployment, simulator: Simulator
) -> None:
    """Between two statements it does nothing, for as long as the busy machine does not let it."""
    warm_up(deployment, simulator)
    deployment.sql("UPDATE bc_consumer_pace SET next_claim_at = now() + interval '1 hour'")
    ids = list(simulator.bulk_create(50, 1))
    assert kept_in(deployment, ids) == {"ledger"}
    with psycopg2.connect(deployment.database_url) as worker, worker.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {TABLE} WHERE odoo_id = %s FOR UPDATE", [ids[7]])
        goes_on = threading.Timer(0.13, worker.commit)
        goes_on.start()
        assert kept_in(deployment, ids[5:10]) == {"ledger"}
        goes_on.join()
    worker.close()
    assert "The ledger is locked" not in deployment.logs()


def test_a_body_of_a_thousand_ids_reaches_the_ledger(
    deployment: Deployment, simulator: Simulator
) -> None:
    warm_up(deployment, simulator)
    ids = list(simulator.bulk_create(3000, 1))
    for first in range(0, 3000, 1000):
        body = {"_model": "purchase.order", "ids": ids[first : first + 1000], "text": "x" * 9_000}
        answer = deployment.post(json.dumps(body).encode())
        assert (answer.status, answer.json()["kept_in"]) == (202, "ledger")
    deployment.wait_until(
        lambda: not differences(simulator, deployment.sql, ids), 60, what="all of them"
    )
