"""The system checks of RABBITMQ_EXCHANGE."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from bc_consumer.installation.setting_checks import check_settings


@pytest.mark.parametrize(
    ("url", "exchange", "found"),
    [
        ("", "", set()),
        ("amqp://localhost/", "", set()),
        ("amqp://localhost/", "orders", set()),
        ("", "orders", {"bc.E020"}),
        ("amqp://localhost/", "amq.topic", {"bc.E021"}),
        ("amqp://localhost/", "é" * 128, {"bc.E021"}),
    ],
)
def test_an_exchange_needs_a_broker_and_a_name(
    settings: LazySettings, url: str, exchange: str, found: set[str]
) -> None:
    settings.RABBITMQ_URL, settings.RABBITMQ_EXCHANGE = url, exchange
    ids = {message.id for message in check_settings()}
    assert ids & {"bc.E020", "bc.E021"} == found
