"""The WSGI application. Importing it also prepares what the first webhook must not wait for."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()


def prepare() -> None:
    """Give PostgreSQL statements their deadlines; connect to both servers, in this process."""
    from django.conf import settings

    from bc_consumer import deadline
    from bc_consumer.intake import intake
    from bc_consumer.publisher import publisher

    if settings.IS_POSTGRESQL:
        deadline.install()
    publisher().connect()
    intake()


prepare()
