"""Tells a monitor outside that the nightly run went well, by calling ``HEARTBEAT_URL``.

The monitor alerts people when no call comes: that is noticed even if every process here, or its
whole machine, is down, and nobody is left to send an alert. Services such as healthchecks work this
way.
"""

import logging

from django.conf import settings

from bc_consumer.core.http_probe import ask
from bc_consumer.core.parallel_calls import call_all
from bc_consumer.core.secret_urls import shown

logger = logging.getLogger(__name__)

SECONDS = 10.0
"""Deadline of the call."""


def report_nightly_run(*, good: bool) -> None:
    """Call ``HEARTBEAT_URL`` after a good run, or ``HEARTBEAT_FAIL_URL`` after one that was not.

    Takes ten seconds at most. Whatever goes wrong is only logged.
    """
    url = settings.HEARTBEAT_URL if good else fail_url()
    if not url:
        return
    error = call_all({"HEARTBEAT_URL": lambda: _call(url)}, SECONDS)["HEARTBEAT_URL"]
    if error is not None:
        logger.warning(
            "The nightly run could not be reported to the heartbeat monitor at %s: %s",
            shown(url),
            str(error) or type(error).__name__,
        )


def fail_url() -> str:
    """Return what is called after a run that failed; "" for nothing.

    A setting that begins with a slash is added to ``HEARTBEAT_URL``: "/fail" for healthchecks.
    """
    fail = str(settings.HEARTBEAT_FAIL_URL)
    if not fail.startswith("/"):
        return fail
    return f"{settings.HEARTBEAT_URL.rstrip('/')}{fail}" if settings.HEARTBEAT_URL else ""


def _call(url: str) -> None:
    answer = ask(url)
    if not 200 <= answer.status < 300:
        raise OSError(f"it answered HTTP {answer.status}")
