"""What ``manage.py web`` serves: the project's site, with threads for the webhook alone."""

from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from odoo_webhook.rsgi import Bodies, Lane, Server, Treatment

WAIT_SECONDS = 10.0
"""For a thread; whoever has given up meanwhile has sent an event all the same."""
MOST_WAITING = 2_000
PAGES_WAITING = 128
PAGE_WAIT_SECONDS = 5.0
READY_AT_ONCE = 4
READY_WAIT_SECONDS = 1.0
EVENT_SECONDS = 5.0
"""For a webhook's body. Odoo itself waits one second for its answer."""
EVENTS_AT_ONCE = 256
FORM_SECONDS = 10.0
FORMS_AT_ONCE = 16
"""Of strangers: anybody may send the login form."""


def serve() -> Server:
    """Return granian's target for the project of the settings."""
    # The project's own module sets Django up; what needs models can't be imported before.
    application = import_string(settings.WSGI_APPLICATION)
    from bc_consumer.messaging.intake import missed
    from bc_consumer.page_limits import READINESS, pages_at_once, path_of, urgent_paths
    from odoo_webhook.auth import authorized

    pages = pages_at_once(settings.WEB_THREADS)
    urgent = max(1, settings.WEB_THREADS - pages - READY_AT_ONCE)
    largest_form = settings.DATA_UPLOAD_MAX_MEMORY_SIZE or settings.WEBHOOK_MAX_BODY_BYTES
    events = Bodies(EVENTS_AT_ONCE, settings.WEBHOOK_MAX_BODY_BYTES, EVENT_SECONDS)
    forms = Bodies(FORMS_AT_ONCE, largest_form, FORM_SECONDS)
    of_urgent = Lane(urgent, MOST_WAITING, WAIT_SECONDS)
    of_ready = Treatment(Lane(READY_AT_ONCE, MOST_WAITING, READY_WAIT_SECONDS), None)
    of_pages = Treatment(Lane(pages, PAGES_WAITING, PAGE_WAIT_SECONDS), forms)
    of_event = Treatment(of_urgent, events, strict=False, on_lost=missed)
    of_stranger = Treatment(of_urgent, None, strict=False)
    webhook = path_of("odoo-webhook")

    def treat(scope: Any) -> Treatment:
        path = scope.path.rstrip("/")
        if path == webhook:
            known = authorized(
                scope.headers.get("authorization", ""), settings.ODOO_WEBHOOK_SECRETS
            )
            return of_event if known else of_stranger
        if path in urgent_paths():
            return of_stranger
        return of_ready if path == path_of(READINESS) else of_pages

    return Server(application, settings.WEB_THREADS, treat)
