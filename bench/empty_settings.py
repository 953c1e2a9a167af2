"""The project's settings, but with one view that does nothing; BENCH_BARE: without middleware."""

import os

from project.settings import *  # noqa: F403

ROOT_URLCONF = "bench.empty_view"
WSGI_APPLICATION = "bench.empty_view.application"
if os.environ.get("BENCH_BARE"):
    MIDDLEWARE: list[str] = []  # type: ignore[no-redef]
# The administration asks for middleware, and is not served here.
SILENCED_SYSTEM_CHECKS = ["admin.E408", "admin.E409", "admin.E410", "bc.W034"]
