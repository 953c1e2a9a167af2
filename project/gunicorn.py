"""gunicorn's settings for the web process."""

import os
from typing import Any

wsgi_app = "project.wsgi:application"
bind = os.environ.get("BIND", f"0.0.0.0:{os.environ.get('PORT') or '8000'}")
workers = int(os.environ.get("WEB_PROCESSES") or 2)
worker_class = "gthread"
threads = int(os.environ.get("WEB_THREADS") or 16)
# A hundred webhooks may come at once, one connection each: Odoo keeps none alive.
backlog = 1024
keepalive = 5
graceful_timeout = 20
accesslog = None
no_control_socket = True


def post_worker_init(_worker: Any) -> None:
    """Prepare what the first request must not wait for, in the process that will serve it."""
    from django.conf import settings

    from bc_consumer.deadline import install
    from bc_consumer.publisher import publisher

    if settings.IS_POSTGRESQL:
        install()
    publisher().connect()
