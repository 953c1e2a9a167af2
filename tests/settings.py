"""The product's settings for tests: no developer's .env, no network, made-up credentials.

``TEST_DATABASE=sqlite`` runs the database tests on SQLite instead of PostgreSQL. The PostgreSQL
address is a placeholder: the server is started only when a test needs it (tests/conftest.py).
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_ON_SQLITE = os.environ.get("TEST_DATABASE", "postgresql") == "sqlite"
_PLACEHOLDER = "postgresql://nobody:nothing@127.0.0.1:1/bc"

if "TESTS_DIRECTORY" not in os.environ:  # else a process that made it has started this one
    os.environ["TESTS_DIRECTORY"] = tempfile.mkdtemp(prefix="bc-tests-data-")
    atexit.register(shutil.rmtree, os.environ["TESTS_DIRECTORY"], ignore_errors=True)
_DATA = Path(os.environ["TESTS_DIRECTORY"]) / f"{os.getpid()}"

os.environ.update(
    {
        "ENV_FILE": os.devnull,
        "SECRET_KEY": "a key for tests alone, of more than fifty characters in all",
        "DATABASE_URL": f"sqlite:///{_DATA}.sqlite3" if _ON_SQLITE else _PLACEHOLDER,
        "DATA_DIR": str(_DATA),
        "RABBITMQ_URL": "",
        "ODOO_URL": "http://127.0.0.1:1",
        "ODOO_DATABASE": "odoo",
        "ODOO_LOGIN": "admin",
        "ODOO_PASSWORD": "admin",
        "ODOO_WEBHOOK_SECRETS": "first-test-secret,second-test-secret",
        "EMAIL_URL": "memory:",
        "ALERT_GROUP_SECONDS": "0",
    }
)

from project.settings import *  # noqa: E402, F403
from project.settings import DATABASES  # noqa: E402

if _ON_SQLITE:
    # A file, as in a real deployment: an in-memory database knows neither WAL nor a second thread.
    DATABASES["default"]["TEST"] = {"NAME": f"{_DATA}-test.sqlite3"}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Static files come from the packages themselves; whitenoise would warn of a missing directory.
STATIC_ROOT = _DATA / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
# Each test's client loads the middleware anew, and whitenoise would look at all files each time.
WHITENOISE_AUTOREFRESH = True
