"""``manage.py web``: serves the project's site, and so the webhook and the pages, with granian."""

import os
import resource
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from bc_consumer.core.environment import Environment
from bc_consumer.management.command import Exit, HelpFormatter, exit_code_table

env = Environment(os.environ)

STOP_SECONDS = 20
BACKLOG = 1024
"""Odoo opens a connection for each webhook; a bulk change opens hundreds at once."""
CONNECTIONS = 8_000
"""For one process. granian accepts no more, and never closes a silent connection (measured with
2.8): idle connections must not keep Odoo out."""
HEADER_MILLISECONDS = 10_000
"""The deadline for a request's headers; odoo_webhook/site_server.py has the one for bodies."""
HEADER_BYTES = 65_536
TARGET = "odoo_webhook.site_server:serve"


class Command(BaseCommand):
    """Replaces this process by granian, with WEB_PROCESSES processes on PORT."""

    help = "Serves the webhook and the pages."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the address of the server."""
        parser.epilog = exit_code_table(
            {
                Exit.OK: _("told to stop (Ctrl-C, SIGTERM)"),
                Exit.FAILED: _("a setting is wrong, or the port is taken"),
                Exit.USAGE: _("wrong options"),
            }
        )
        parser.formatter_class = HelpFormatter
        parser.add_argument(
            "--host",
            default=env.text("HOST", "0.0.0.0"),  # noqa: S104 (a server)
            help=_("the address to listen on, instead of HOST"),
        )
        parser.add_argument(
            "--port",
            type=int,
            default=env.integer("PORT", 8000, minimum=1),
            help=_("its port, instead of PORT"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Start granian; this never returns."""
        granian = str(Path(sys.executable).with_name("granian"))
        words = [
            granian,
            *("--interface", "rsgi", "--factory", "--http", "1", "--no-ws"),
            "--respawn-failed-workers",
            *("--host", options["host"], "--port", str(options["port"])),
            *("--workers", str(env.integer("WEB_PROCESSES", 2, minimum=1))),
            *("--http1-header-read-timeout", str(HEADER_MILLISECONDS)),
            *("--http1-buffer-size", str(HEADER_BYTES)),
            *("--backlog", str(BACKLOG), "--backpressure", str(CONNECTIONS)),
            *("--workers-kill-timeout", str(STOP_SECONDS)),
            TARGET,
        ]
        if not settings.WSGI_APPLICATION:
            raise CommandError(
                "WSGI_APPLICATION is not set: give the path of your WSGI application, "
                'e.g. "mysite.wsgi.application".'
            )
        _allow_connections()
        # The intake keeps its own connection, and the few threads that serve pages keep theirs
        # (page_limits.py). Others' end with the request; each thread would hold one in the end.
        kept = os.environ.get("DATABASE_CONN_MAX_AGE")
        for name in getattr(settings, "VARIABLES_OF_FILES", ()):
            os.environ.pop(name, None)  # At a SIGHUP the files count, not these copies.
        if not kept:
            os.environ["DATABASE_CONN_MAX_AGE"] = "0"
        os.execv(granian, words)  # noqa: S606 (the arguments are ours)


def _allow_connections() -> None:
    """Raise the limit of open files to the number of connections, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 1000
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
