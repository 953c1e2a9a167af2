"""The project's settings, but with one view that does nothing, and without middleware."""

from project.settings import *  # noqa: F403

ROOT_URLCONF = "bench.empty_view"
WSGI_APPLICATION = "bench.empty_view.application"
MIDDLEWARE: list[str] = []
