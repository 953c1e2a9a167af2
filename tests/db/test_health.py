"""What machines ask. Outages are in tests/flow/test_health.py, with everything real."""

import json

import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.db.models.functions import Now
from django.test import Client

from bc_consumer.console import health
from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import Pace
from tests.db.copied import bc, failed, journal, line, pending

pytestmark = pytest.mark.django_db

PATHS = ("/healthz", "/readyz", "/status.json")


@pytest.mark.parametrize("path", PATHS)
def test_they_answer_without_login_or_redirect_or_cache(
    client: Client, settings: LazySettings, path: str
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Type"] == "application/json"
    assert not answer.cookies


@pytest.mark.parametrize("path", PATHS)
def test_they_are_only_read(client: Client, path: str) -> None:
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405
    assert client.delete(path).status_code == 405


def test_ready_without_rabbitmq(client: Client) -> None:
    assert client.get("/readyz").json() == {
        "status": "ready",
        "database": "ok",
        "rabbitmq": "not used",
    }


def test_status_is_figures_alone(client: Client) -> None:
    line(bc(1, partner_name="Supplier 001", name="P00001"), 11)
    journal(1, delay=0.2)
    pending(1, age=40)
    failed(2)
    answer = client.get("/status.json")
    body = answer.json()
    oldest = body.pop("oldest_owed_seconds")
    assert oldest == pytest.approx(40, abs=5)
    assert body == {
        "bc": 1,
        "bc_archived": 0,
        "bc_forbidden": 0,
        "lines": 1,
        "owed": 1,
        "watching": 0,
        "failed": 1,
        "held": 0,
        "workers": 0,
        "schedulers": 0,
        "odoo": "ok",
        "odoo_away_seconds": None,
        "unannounced": None,
        "delay_p50_seconds": 0.2,
        "delay_p95_seconds": 0.2,
        "delay_count": 1,
    }
    text = json.dumps(answer.json())
    assert "Supplier" not in text
    assert "P00001" not in text


def test_status_tells_an_outage_of_odoo_and_not_the_account(client: Client) -> None:
    Pace.objects.get_or_create(pk=circuit_breaker.PACE_ID, defaults={"next_claim_at": Now()})
    circuit_breaker.record_failure(verbatim('no login "someone"'), probing=False, refused=True)
    answer = client.get("/status.json")
    assert answer.json()["odoo"] == "refused"
    assert 0 <= answer.json()["odoo_away_seconds"] < 5
    assert b"someone" not in answer.content
    circuit_breaker.record_failure(verbatim("HTTP 502"), probing=True)
    assert client.get("/status.json").json()["odoo"] == "away"


def test_health_asks_no_database(client: Client, settings: LazySettings) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.cursor", _refuse)
        assert client.get("/healthz").status_code == 200


def _refuse(*_: object) -> None:
    raise AssertionError("/healthz asked the database")


def test_status_without_the_database_is_503(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(health, "read_figures", away)
    answer = client.get("/status.json")
    assert answer.status_code == 503
    assert json.loads(answer.content) == {"error": "the database does not answer"}
