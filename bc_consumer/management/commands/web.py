"""``manage.py web``: serves the webhook and the pages with granian."""

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from project import env

STOP_SECONDS = 20
BACKLOG = 1024
"""Odoo opens a connection for each webhook; a bulk change in it brings hundreds at once."""
IDLE_SECONDS = 600
"""Threads keep their database connections, so they are kept as well."""


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
            *("--blocking-threads", str(env.integer("WEB_THREADS", 16, minimum=1))),
            *("--blocking-threads-idle-timeout", str(IDLE_SECONDS)),
            *("--backlog", str(BACKLOG), "--workers-kill-timeout", str(STOP_SECONDS)),
            "project.wsgi:application",
        ]
        os.execv(granian, words)  # noqa: S606 (the words are ours)
