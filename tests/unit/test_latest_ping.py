"""A ping through the public address, as the first page tells of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings

from bc_consumer.console import latest_ping
from bc_consumer.operations.public_ping import PingArrival
from tests.unit.odoo.serving import RawServer, http
from tests.unit.site import serving_site


@pytest.fixture(autouse=True)
def _pinged_anew() -> Iterator[None]:
    latest_ping.forget()
    yield
    latest_ping.forget()


def test_a_ping_that_arrives_here(settings: LazySettings) -> None:
    settings.ODOO_WEBHOOK_SECRETS = ["first-test-secret"]
    with serving_site() as url:
        settings.PUBLIC_URL = url
        known = latest_ping.webhook_round_trip()
    assert known is not None
    assert known.answer.ping.arrival is PingArrival.HERE
    # The site is gone; for a minute nobody asks again.
    assert latest_ping.webhook_round_trip() is not None


def test_a_ping_that_something_else_answers(settings: LazySettings) -> None:
    settings.ODOO_WEBHOOK_SECRETS = ["first-test-secret"]
    with RawServer(lambda _incoming: http(b"<html>", 200)) as server:
        settings.PUBLIC_URL = server.url
        known = latest_ping.webhook_round_trip()
    assert known is not None
    assert known.answer.ping.arrival is PingArrival.NOT_US


@pytest.mark.parametrize("missing", ["PUBLIC_URL", "ODOO_WEBHOOK_SECRETS"])
def test_without_an_address_or_a_secret_nothing_is_sent(
    missing: str, settings: LazySettings
) -> None:
    settings.PUBLIC_URL, settings.ODOO_WEBHOOK_SECRETS = "http://127.0.0.1:1", ["a secret"]
    setattr(settings, missing, "")
    assert latest_ping.webhook_round_trip() is None
