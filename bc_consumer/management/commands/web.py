"""``manage.py web``: serves the project's site, and so the webhook and the pages, with granian."""

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from bc_consumer.environment import Environment

env = Environment(os.environ)

STOP_SECONDS = 20
BACKLOG = 1024
"""Odoo opens a connection for each webhook; a bulk change in it brings hundreds at once."""
THREADS = 64
"""A process; they mostly wait. Of a hundred webhooks at once each finds one, in an outage too."""
IDLE_SECONDS = 600
HEADER_MILLISECONDS = 10_000
"""For a request's headers. Bodies have no deadline: see project/request_limits.py."""


class Command(BaseCommand):
    """Replace this process by granian; WEB_PROCESSES, WEB_THREADS and PORT are read."""

    help = "Serves the webhook and the pages."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the address to listen on."""
        parser.add_argument("--host", default=env.text("HOST", "0.0.0.0"))  # noqa: S104 (a server)
        parser.add_argument("--port", type=int, default=env.integer("PORT", 8000, minimum=1))

    def handle(self, *_args: Any, **options: Any) -> None:
        """Never returns."""
        granian = str(Path(sys.executable).with_name("granian"))
        words = [
            granian,
            *("--interface", "wsgi", "--no-ws", "--respawn-failed-workers"),
            *("--host", options["host"], "--port", str(options["port"])),
            *("--workers", str(env.integer("WEB_PROCESSES", 2, minimum=1))),
            *("--blocking-threads", str(env.integer("WEB_THREADS", THREADS, minimum=1))),
            *("--blocking-threads-idle-timeout", str(IDLE_SECONDS)),
            *("--http1-header-read-timeout", str(HEADER_MILLISECONDS)),
            *("--backlog", str(BACKLOG), "--workers-kill-timeout", str(STOP_SECONDS)),
            _application(),
        ]
        # The intake has its own lasting connection; a page's ends with its request, or that many
        # threads would in time hold that many connections.
        kept = os.environ.get("DATABASE_CONN_MAX_AGE")
        for name in getattr(settings, "VARIABLES_OF_FILES", ()):
            os.environ.pop(name, None)  # or they would win over the files at each SIGHUP
        if not kept:
            os.environ["DATABASE_CONN_MAX_AGE"] = "0"
        os.execv(granian, words)  # noqa: S606 (the words are ours)


def _application() -> str:
    """Return WSGI_APPLICATION as granian wants it: ``module:name``."""
    module, _, name = (settings.WSGI_APPLICATION or "").rpartition(".")
    if not module:
        raise CommandError(
            "WSGI_APPLICATION is not set: give the path of your WSGI application, "
            'e.g. "mysite.wsgi.application".'
        )
    return f"{module}:{name}"
