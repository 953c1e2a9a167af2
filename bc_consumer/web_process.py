"""What a web process prepares, so that its first webhook need not wait for it."""

import time

from django.conf import settings
from django.db import connection
from django.urls import get_resolver

from bc_consumer.console.health import STATUS_SECONDS
from bc_consumer.core import database_deadline
from bc_consumer.messaging.intake import intake
from bc_consumer.messaging.publisher import publisher

LONGEST_SECONDS = 3.0
"""A server that is away holds the start up for so long at most."""


def prepare() -> None:
    """Give PostgreSQL statements their deadlines; load the site; connect to both servers.

    Returns when all that is done, so that a new process gets its first request only when it can
    answer in time, but after three seconds whatever is away.

    From then on a statement of this process, in whichever thread, that is in no block of
    ``deadline.database_deadline`` has five seconds (``deadline.LONGEST_SECONDS``), unless
    ``PAGE_DATABASE_SECONDS`` is 0.

    Call it once in every process that serves the webhook, after Django's set-up and, where a
    server forks, in the process that serves: the project's ``wsgi.py`` is the place. Without it
    the webhook works, and has no deadline while PostgreSQL does not answer.
    """
    if connection.vendor == "postgresql":
        # In «./start» a worker's statements run in this process, too: hence its 0.
        database_deadline.install(
            database_deadline.LONGEST_SECONDS if settings.PAGE_DATABASE_SECONDS else None
        )
        _end_statements_that_nobody_waits_for()
    end = time.monotonic() + LONGEST_SECONDS
    connected = publisher().connect()
    begun = intake().begun
    _ = get_resolver().url_patterns  # imports every page, which takes a while
    begun.wait(max(end - time.monotonic(), 0.0))
    connected.wait(max(end - time.monotonic(), 0.0))


def _end_statements_that_nobody_waits_for() -> None:
    """Let PostgreSQL itself end what a page has given up: it would work on it, unread, to the end.

    All threads' connections are made by these settings.
    """
    if not settings.PAGE_DATABASE_SECONDS:
        return
    milliseconds = int(1000 * max(settings.PAGE_DATABASE_SECONDS, STATUS_SECONDS))
    options = connection.settings_dict["OPTIONS"]
    options["options"] = f"{options.get('options', '')} -c statement_timeout={milliseconds}".strip()
