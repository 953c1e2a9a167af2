"""URLs in which anything may be a token: what is hidden, and what is shown of them."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from bc_consumer.core.environment import Environment
from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.redactor import is_recognisable
from bc_consumer.core.secret_urls import secret_parts, shown

SLACK = "slack://T1JJ3T3L2AA/A1BRTD4JDXX/TIiajkdnlazkcOXrIdevi7FQ/#orders"
TELEGRAM = "tgram://123456789:abcdefg_hijklmnop-qrs/12315544"
MAIL = "mailtos://ops.team:p%40ss-w0rd-1@smtp.example.com:587?to=someone@example.com&cc=a@b.org"
HOOK = "jsons://hooks.example.com:8443/services/3f1d9c2ab4/deploy?token=s3cr3t-t0ken&cto=5"


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        (SLACK, ["T1JJ3T3L2AA", "A1BRTD4JDXX", "TIiajkdnlazkcOXrIdevi7FQ"]),
        (TELEGRAM, ["123456789", "abcdefg_hijklmnop-qrs", "12315544"]),
        (MAIL, ["ops.team", "p%40ss-w0rd-1", "p@ss-w0rd-1", "someone@example.com"]),
        (HOOK, ["3f1d9c2ab4", "s3cr3t-t0ken"]),
        ("sendgrid://SG.a1b2c3d4.Zz9Yy8:from@example.com/", ["SG.a1b2c3d4.Zz9Yy8"]),
        ("ntfy://bc-alerts-7f3a", ["bc-alerts-7f3a"]),
        ("no-url-at-all-7f3a", ["no-url-at-all-7f3a"]),
    ],
)
def test_whatever_may_be_a_token_is_hidden(
    settings: LazySettings, url: str, secrets: list[str]
) -> None:
    settings.ALERT_URLS = [url]
    for secret in (*secrets, url):
        assert is_recognisable(secret)
        assert secret in set(secret_parts(url))
        assert secret not in redacted(f"POST /{secret} failed; {{'x': '{secret}'}}")


def test_hosts_and_words_of_them_stay_readable(settings: LazySettings) -> None:
    settings.ALERT_URLS = [HOOK, "json://127.0.0.1:8000/hook", "json://localhost/webhook"]
    settings.HEARTBEAT_URL = "https://hc-ping.com/6b1f7d1e-7f3a-4b0e-9d58-2f0f3c2b1a00"
    text = "deploy: webhook to hooks.example.com, services at localhost, 127.0.0.1, hc-ping.com"
    assert redacted(text) == text
    assert "6b1f7d1e" not in redacted("GET /6b1f7d1e-7f3a-4b0e-9d58-2f0f3c2b1a00/fail")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (SLACK, "slack://T1J…"),
        (TELEGRAM, "tgram://1234…"),
        (MAIL, "mailtos://smtp.example…"),
        ("json://127.0.0.1:8000/hook", "json://127.0.0.1"),
        ("short://abc/def", "short://a…"),
        ("json://", "json://"),
        ("no url", "…"),
        ("my password://x", "…"),
    ],
)
def test_scheme_and_the_beginning_of_the_host_are_shown(url: str, told: str) -> None:
    assert shown(url) == told


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("", []),
        (" , ", []),
        (f"{SLACK},{TELEGRAM}", [SLACK, TELEGRAM]),
        (f"{SLACK} \n {TELEGRAM},", [SLACK, TELEGRAM]),
        ("mailto://x:y@h?to=a@b.c,d@e.f, json://h", ["mailto://x:y@h?to=a@b.c,d@e.f", "json://h"]),
        ("foo json://h", ["foo", "json://h"]),
    ],
)
def test_urls_are_separated_by_commas_or_white_space(text: str, urls: list[str]) -> None:
    assert Environment({"X": text}).urls("X") == urls
