"""Prepares a web process, so that its first webhook need not wait."""

import time

from django.conf import settings
from django.db import connection
from django.urls import get_resolver

from bc_consumer.console import metrics
from bc_consumer.core import database_deadline
from bc_consumer.core.database_deadline import LONGEST_PAGE_SECONDS
from bc_consumer.messaging.intake import intake
from bc_consumer.messaging.publisher import publisher
from bc_consumer.operations import heartbeats

__all__ = ["prepare"]

LONGEST_SECONDS = 3.0
"""The most seconds that a server that is away delays the start."""


def prepare() -> None:
    """Set the deadlines for PostgreSQL statements, load the site, and connect to both servers.

    A thread then reports every few seconds that the process is alive, with its version.

    Returns when all that is done, so that a new process gets its first request only when it can
    answer in time; after three seconds at most, whatever is away.

    From then on, every statement of this process outside a block of
    ``database_deadline.database_deadline`` has five seconds
    (``database_deadline.LONGEST_SECONDS``), in whichever thread, unless ``PAGE_DATABASE_SECONDS``
    is 0.

    Call it once in every process that serves the webhook, after Django's set-up and, if a server
    forks, in the forked process: the project's ``wsgi.py`` is the place. Without it the webhook
    works, but has no deadline while PostgreSQL does not answer.
    """
    if connection.vendor == "postgresql":
        # ./start runs a worker's statements in this process too, and therefore sets it to 0.
        database_deadline.install(
            database_deadline.LONGEST_SECONDS if settings.PAGE_DATABASE_SECONDS else None
        )
        _end_statements_that_nobody_waits_for()
    metrics.begin_to_flush()
    end = time.monotonic() + LONGEST_SECONDS
    connected = publisher().connect()
    begun = intake().begun
    heartbeats.start_web_heart()
    _ = get_resolver().url_patterns  # imports every page, which takes a while
    begun.wait(max(end - time.monotonic(), 0.0))
    connected.wait(max(end - time.monotonic(), 0.0))


def _end_statements_that_nobody_waits_for() -> None:
    """Have PostgreSQL itself end what a page has given up, instead of finishing it for nobody.

    All threads' connections use these options.
    """
    if not settings.PAGE_DATABASE_SECONDS:
        return
    milliseconds = int(1000 * max(settings.PAGE_DATABASE_SECONDS, LONGEST_PAGE_SECONDS))
    options = connection.settings_dict["OPTIONS"]
    options["options"] = f"{options.get('options', '')} -c statement_timeout={milliseconds}".strip()
