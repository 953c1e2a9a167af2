"""Django's settings, all from the environment or from ``.env`` beside manage.py.

``.env.example`` names every variable; docs/settings.md explains them.
"""

from pathlib import Path
from typing import Any

import dj_database_url
import dj_email_url
from django.utils.translation import gettext_lazy as _
from dotenv import load_dotenv

from project import env

BASE_DIR = Path(__file__).resolve().parent.parent
load_dotenv(env.text("ENV_FILE", str(BASE_DIR / ".env")))
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var")))

# --- Django -------------------------------------------------------------------------------------

DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.required(
    "SECRET_KEY", "./start makes one; elsewhere give a random text of at least 50 characters."
)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
HTTPS = env.flag("HTTPS", False)
SECURE_SSL_REDIRECT = HTTPS
# Odoo's client turns a redirected POST into a GET, and the event is lost.
SECURE_REDIRECT_EXEMPT = [r"^odoo/webhook/?$", r"^healthz$", r"^readyz$", r"^status\.json$"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_HSTS_SECONDS = env.integer("HSTS_SECONDS", 3600 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = env.flag("HSTS_SUBDOMAINS", HTTPS)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env.flag("BEHIND_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

INSTALLED_APPS = [
    "bc_consumer.apps.BCConsumerConfig",
    "odoo_webhook",
    "django_dramatiq",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = env.text("LANGUAGE_CODE", "en")
LANGUAGES = [("en", _("English")), ("fr", _("French"))]
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True

# --- Database -----------------------------------------------------------------------------------

# A worker that stops in the middle of a transaction must not hold a webhook's row for ever.
POSTGRESQL_OPTIONS = {
    "connect_timeout": 5,
    "application_name": "bc_consumer",
    "options": "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s",
}
# Writers wait for each other instead of failing; readers never wait for a writer.
SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
}


def _database() -> dict[str, Any]:
    url = env.url("DATABASE_URL", ("postgresql", "postgres", "sqlite"), "")
    if not url:
        DATA_DIR.mkdir(parents=True, exist_ok=True)
    database: dict[str, Any] = dict(
        dj_database_url.parse(url or f"sqlite:///{DATA_DIR / 'bc.sqlite3'}")
    )
    postgresql = database["ENGINE"].endswith("postgresql")
    options = POSTGRESQL_OPTIONS if postgresql else SQLITE_OPTIONS
    database["OPTIONS"] = {**options, **database.get("OPTIONS", {})}
    database["CONN_MAX_AGE"] = env.integer("DATABASE_CONN_MAX_AGE", 300)
    database["CONN_HEALTH_CHECKS"] = False
    return database


DATABASES = {"default": _database()}
IS_POSTGRESQL = DATABASES["default"]["ENGINE"].endswith("postgresql")

# --- RabbitMQ and Dramatiq ----------------------------------------------------------------------

# Without a URL ids travel in memory, between the threads of one process.
RABBITMQ_URL = env.url("RABBITMQ_URL", ("amqp", "amqps"))
RABBITMQ_QUEUE = env.text("RABBITMQ_QUEUE", "bc")
RABBITMQ_QUORUM = env.flag("RABBITMQ_QUORUM", False)
DRAMATIQ_AUTODISCOVER_MODULES = ("actors",)
# Its only actor purges a table that nothing here writes.
DRAMATIQ_IGNORED_MODULES = ("django_dramatiq.tasks",)
DRAMATIQ_BROKER = {
    "BROKER": "bc_consumer.broker.Broker" if RABBITMQ_URL else "dramatiq.brokers.stub.StubBroker",
    "OPTIONS": {"url": RABBITMQ_URL, "quorum": RABBITMQ_QUORUM} if RABBITMQ_URL else {},
    "MIDDLEWARE": [
        "dramatiq.middleware.AgeLimit",
        "dramatiq.middleware.TimeLimit",
        "dramatiq.middleware.ShutdownNotifications",
        "dramatiq.middleware.Callbacks",
        "dramatiq.middleware.Retries",
        "django_dramatiq.middleware.DbConnectionsMiddleware",
        "bc_consumer.timer_middleware.TimerMiddleware",
    ],
}

# --- Odoo ---------------------------------------------------------------------------------------

ODOO_URL = env.url("ODOO_URL", ("https", "http"))
ODOO_DATABASE = env.text("ODOO_DATABASE")
ODOO_LOGIN = env.text("ODOO_LOGIN")
ODOO_PASSWORD = env.text("ODOO_PASSWORD")
ODOO_ORDER_MODEL = "purchase.order"
ODOO_LANGUAGE = env.text("ODOO_LANGUAGE", "en_US")
ODOO_CA_FILE = env.text("ODOO_CA_FILE")
ODOO_TIMEOUT_SECONDS = env.number("ODOO_TIMEOUT_SECONDS", 30, minimum=0.1)
ODOO_MAX_RESPONSE_BYTES = env.integer("ODOO_MAX_RESPONSE_BYTES", 64 * 2**20, minimum=2**16)
ODOO_CONCURRENT_CALLS = env.integer("ODOO_CONCURRENT_CALLS", 4, minimum=1)

# --- Webhook ------------------------------------------------------------------------------------

ODOO_WEBHOOK_SECRETS = env.words("ODOO_WEBHOOK_SECRETS")
# early: Odoo calls before it commits (17, 18). committed: after it (19). auto: by version.
ODOO_WEBHOOK_TIMING = env.choice("ODOO_WEBHOOK_TIMING", "early", ("early", "committed", "auto"))
WEBHOOK_MAX_BODY_BYTES = env.integer("WEBHOOK_MAX_BODY_BYTES", 256 * 2**10, minimum=1024)
# On PostgreSQL the webhook answers within 300 ms whatever is down; the third spans the others.
# SQLite has one writer: an event waits until the worker's batch is written.
WEBHOOK_DATABASE_SECONDS = env.number("WEBHOOK_DATABASE_SECONDS", 0.08, minimum=0.01)
WEBHOOK_BROKER_SECONDS = env.number("WEBHOOK_BROKER_SECONDS", 0.1, minimum=0.01)
WEBHOOK_ANSWER_SECONDS = env.number(
    "WEBHOOK_ANSWER_SECONDS", 0.2 if IS_POSTGRESQL else 10, minimum=0.02
)

# --- Ledger and workers -------------------------------------------------------------------------

EARLY_LOOKS = env.numbers("EARLY_LOOKS", "0.15 0.5 1 2 3 5 8 15 30 60 120")
LEASE_SECONDS = env.number("LEASE_SECONDS", 90, minimum=1)
# A batch is one transaction; SQLite's only writer must not hold a webhook up for long.
BATCH_SIZE = env.integer("BATCH_SIZE", 200 if IS_POSTGRESQL else 50, minimum=1)
BATCH_PACE_SECONDS = env.number("BATCH_PACE_SECONDS", 0.12)
MAX_ATTEMPTS = env.integer("MAX_ATTEMPTS", 3, minimum=1)
SWEEP_SECONDS = env.number("SWEEP_SECONDS", 5, minimum=0.1)
# A message sent this long ago and not acted on is taken for lost.
RESEND_SECONDS = env.number("RESEND_SECONDS", 30, minimum=1)

# --- Reconciliation -----------------------------------------------------------------------------

# When the nightly run is due, in TIME_ZONE; never: not at all.
SYNC_NIGHTLY_AT = env.time_of_day("SYNC_NIGHTLY_AT", "02:30")
# 0: no polling. For an Odoo, or a network, that cannot send webhooks.
SYNC_POLL_SECONDS = env.number("SYNC_POLL_SECONDS", 0)
# The window reaches back by this much: changes committed late carry an old write_date.
SYNC_OVERLAP_SECONDS = env.number("SYNC_OVERLAP_SECONDS", 4 * 3600, minimum=0)
# Odoo's longest transaction: so long may a second change hide behind the same write_date.
ODOO_LONGEST_TRANSACTION_SECONDS = env.number("ODOO_LONGEST_TRANSACTION_SECONDS", 900, minimum=1)
SYNC_LEASE_SECONDS = env.number("SYNC_LEASE_SECONDS", 40, minimum=1)
SYNC_SLICE_SECONDS = env.number("SYNC_SLICE_SECONDS", 240, minimum=1)
SYNC_PAGE_SIZE = env.integer("SYNC_PAGE_SIZE", 2000, minimum=1)
# More archivings than both within an hour are held back until a person has looked.
BRAKE_ARCHIVINGS = env.integer("BRAKE_ARCHIVINGS", 20)
BRAKE_SHARE = env.number("BRAKE_SHARE", 0.02)
# A run that finds more orders than this that no webhook told of sends an alert.
ALERT_MISSED = env.integer("ALERT_MISSED", 50)
JOURNAL_DAYS = env.integer("JOURNAL_DAYS", 180, minimum=1)
SYNC_LOG_DAYS = env.integer("SYNC_LOG_DAYS", 400, minimum=1)

# --- Pages, mail, logs --------------------------------------------------------------------------

# The live page needs a login unless this is set: ./start sets it for its demonstration.
LIVE_PAGE_PUBLIC = env.flag("LIVE_PAGE_PUBLIC", False)

globals().update(
    {
        name: value
        for name, value in dj_email_url.parse(env.text("EMAIL_URL", "console:")).items()
        if name != "EMAIL_FILE_PATH" or value
    }
)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("EMAIL_FROM", "bc@localhost")
ALERT_EMAILS = env.words("ALERT_EMAILS")

LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {name: {"level": LOG_LEVEL} for name in ("bc_consumer", "odoo_webhook", "project")},
}
