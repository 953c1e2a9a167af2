"""The WSGI application. Importing it also prepares whatever the first webhook must not wait for."""

import os

from django.core.wsgi import get_wsgi_application

from project.header_limits import limited

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = limited(get_wsgi_application())

from bc_consumer.web_process import prepare  # noqa: E402 (it needs Django set up)

prepare()
