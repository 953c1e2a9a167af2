"""What a web process prepares, so that its first webhook need not wait for it."""

from django.db import connection

from bc_consumer import deadline
from bc_consumer.intake import intake
from bc_consumer.publisher import publisher


def prepare() -> None:
    """Give PostgreSQL statements their deadlines; connect to both servers.

    Call it once in every process that serves the webhook, after Django's set-up and, where a
    server forks, in the process that serves: the project's ``wsgi.py`` is the place. Without it
    the webhook works, and has no deadline while PostgreSQL does not answer.
    """
    if connection.vendor == "postgresql":
        deadline.install()
    publisher().connect()
    intake()
