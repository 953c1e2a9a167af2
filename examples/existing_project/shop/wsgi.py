"""The WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

application = get_wsgi_application()

from bc_consumer.web_process import prepare  # noqa: E402  copy of Odoo

prepare()
