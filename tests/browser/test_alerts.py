"""Alerts and rejected messages, as people press them, in English and French."""

from __future__ import annotations

import time

import pika
import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.console import keep_screenshot, log_in, make_users, outcome, press
from tests.browser.window import Window
from tests.harness import Deployment

pytestmark = [
    pytest.mark.simulator(version=18, webhook_timing="committed"),
    pytest.mark.deployment(
        shared=True, workers=1, settings={"ODOO_WEBHOOK_TIMING": "committed", "MAX_ATTEMPTS": "1"}
    ),
]
ALERT = """
INSERT INTO bc_consumer_alert
    (key, subject, subject_parts, text, text_parts, first_at, last_at, count)
VALUES ('brake', 'Archiving paused', '', '21 orders are gone', '', now(), now(), 3)
ON CONFLICT (key) DO UPDATE SET acknowledged_by = '', acknowledged_at = NULL, muted_until = NULL
"""
LETTER = """
INSERT INTO bc_consumer_deadletter
    (queue, body, digest, why, why_parts, first_at, last_at, count)
VALUES ('bc', 'no event', 'd', 'odd', '', now(), now(), 1)
"""
WORDS = {
    "en": {
        "alerts": "Archiving paused, since", "acknowledge": "Acknowledge", "taken": "taking care",
        "mute for": "Mute for …", "mute": "Mute", "silent": "Nothing is sent about it until",
        "unmute": "Unmute", "again": "It is sent again", "put back": "Put back",
        "kept": "kept here: 1", "delete": "Delete the selected messages", "yes": "Yes: Delete",
        "deleted": "1 message deleted",
    },
    "fr": {
        "alerts": "Archiving paused, depuis", "acknowledge": "Je m’en occupe",
        "taken": "Quelqu’un s’en occupe", "mute for": "Mettre en silence…",
        "mute": "Mettre en silence", "silent": "Rien n’est envoyé à son sujet",
        "unmute": "Lever le silence", "again": "de nouveau envoyée",
        "put back": "Remettre en traitement", "kept": "gardés ici", "yes": "Oui",
        "delete": "Supprimer les messages choisis", "deleted": "1 message supprimé",
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def _users(deployment: Deployment) -> None:
    make_users(deployment)


def reject_message(deployment: Deployment) -> None:
    """Put a message where RabbitMQ keeps what could not be read."""
    url = pika.URLParameters(deployment.environment["RABBITMQ_URL"])
    queue = deployment.environment["RABBITMQ_QUEUE"] + ".fallback.undecodable"
    with pika.BlockingConnection(url) as connection:
        channel = connection.channel()
        channel.queue_declare(queue, durable=True)
        channel.basic_publish("", queue, b"<b>no event</b>")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_operator_takes_an_alert_mutes_it_and_lets_it_speak_again(
    language: str, window: Window, deployment: Deployment
) -> None:
    says = WORDS[language]
    deployment.sql(ALERT)
    log_in(window, deployment, "operator", language)
    window.open(deployment.base_url)
    window.wait(lambda: says["alerts"] in window.text('[data-part="notices"]'), what="the alert")
    window.one('[data-part="notices"] a[href="/alerts/"]').click()
    press(window, says["acknowledge"])
    assert says["taken"] in outcome(window, says["taken"])
    keep_screenshot(window, f"alerts-{language}")
    press(window, says["mute for"])
    window.one('select[name="hours"] option[value="24"]').click()
    window.one('form[action="/ask/mute/"] button').click()
    outcome(window, says["silent"])
    hours = "SELECT round(extract(epoch FROM muted_until - now()) / 3600) FROM bc_consumer_alert"
    assert deployment.sql(f"{hours} WHERE key = 'brake'")[0][0] == 24
    press(window, says["unmute"])
    outcome(window, says["again"])
    recorded = deployment.sql(
        "SELECT kind, asked_by FROM bc_consumer_operatoraction ORDER BY id DESC LIMIT 3"
    )
    assert recorded == [(kind, "operator") for kind in ("unmute", "mute", "acknowledge")]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_rejected_messages_are_put_back_and_what_names_no_order_is_deleted(
    language: str, window: Window, deployment: Deployment
) -> None:
    says = WORDS[language]
    reject_message(deployment)
    log_in(window, deployment, "administrator", language)
    window.open(f"{deployment.base_url}/failures/messages/")
    press(window, says["put back"])
    outcome(window, says["kept"])
    window.open(f"{deployment.base_url}/failures/messages/")
    assert "<b>no event</b>" in window.text("tbody")
    keep_screenshot(window, f"messages-{language}")
    window.one('input[name="letters"]').click()
    press(window, says["delete"])
    assert deployment.sql("SELECT count(*) FROM bc_consumer_deadletter") == [(1,)]
    press(window, says["yes"])
    outcome(window, says["deleted"])
    assert deployment.sql("SELECT count(*) FROM bc_consumer_deadletter") == [(0,)]


def test_the_key_enter_on_a_checkbox_deletes_nothing(
    window: Window, deployment: Deployment
) -> None:
    deployment.sql(LETTER)
    log_in(window, deployment, "administrator")
    window.open(f"{deployment.base_url}/failures/messages/")
    window.wait(lambda: window.one('input[name="letters"]').is_displayed(), what="the message")
    window.script("window.same_page = true")
    window.one('input[name="letters"]').send_keys(Keys.SPACE, Keys.ENTER)
    time.sleep(1)
    assert window.script("return window.same_page"), "no form was sent"
    assert window.one('input[name="letters"]').is_selected()
    assert not window.one("form button[formmethod]").is_displayed()
    assert deployment.sql("DELETE FROM bc_consumer_deadletter RETURNING digest") == [("d",)]
