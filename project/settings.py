"""Django's settings, all read from the environment or from ``.env`` beside manage.py.

``.env.example`` names every variable; docs/settings.md explains them.
"""

import os
from pathlib import Path
from typing import Any

import dj_database_url
import dj_email_url
from django.utils.translation import gettext_lazy as _
from dotenv import dotenv_values, load_dotenv

from bc_consumer.core.environment import Environment

env = Environment(os.environ)
BASE_DIR = Path(__file__).resolve().parent.parent
_given = frozenset(os.environ)
load_dotenv(env.text("ENV_FILE", str(BASE_DIR / ".env")))
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var")))
# Secrets that ./start has generated: commands beside it need the same. A copy of .env.example names
# them with nothing behind, which is as if they were not there.
os.environ.update(
    (name, value)
    for name, value in dotenv_values(DATA_DIR / "secrets").items()
    if value and not os.environ.get(name)
)
if not env.text("ODOO_URL"):
    # While ./start runs the simulator, commands use that one, with all of its settings.
    load_dotenv(DATA_DIR / "simulator.env", override=True)
# Variables set by these files only. "manage.py web" does not pass them on: processes it starts
# later read the files as they are then.
VARIABLES_OF_FILES = frozenset(os.environ) - _given

# Everything about Odoo, RabbitMQ, webhook, workers and reconciliation; loaded after .env.
from bc_consumer.conf import *  # noqa: E402, F403
from bc_consumer.conf import (  # noqa: E402
    LOG_FORMAT,
    LOG_LEVEL,
    POSTGRESQL_OPTIONS,
    SQLITE_OPTIONS,
    WEBHOOK_MAX_BODY_BYTES,
)

# --- Django -------------------------------------------------------------------------------------

DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.required(
    "SECRET_KEY", "./start makes one; otherwise set a random text of at least 50 characters."
)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
HTTPS = env.flag("HTTPS", False)
SECURE_SSL_REDIRECT = HTTPS
# Odoo's client turns a redirected POST into a GET, and the event would be lost.
SECURE_REDIRECT_EXEMPT = [
    r"^odoo/webhook/?$",
    r"^healthz$",
    r"^readyz$",
    r"^status\.json$",
    r"^metrics$",
]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
if HTTPS:
    # Browsers accept a cookie of such a name from this host only, not from a sibling domain.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
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
    "bc_consumer.page_limits.PageLimitsMiddleware",
    "project.request_limits.RequestLimitsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "project.content_security_policy.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# Nothing here accepts uploads; header_limits.py refuses them.
FILE_UPLOAD_HANDLERS: list[str] = []
# Applies to every body; the webhook's are the largest. request_limits.py limits forms.
DATA_UPLOAD_MAX_MEMORY_SIZE = max(65_536, WEBHOOK_MAX_BODY_BYTES)
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "project" / "templates"],
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
LOCALE_PATHS = [BASE_DIR / "project" / "locale"]
TIME_ZONE = env.text("TIME_ZONE", "UTC")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "project" / "static"]
WHITENOISE_USE_FINDERS = True

# --- Database -----------------------------------------------------------------------------------


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

# --- Mail, logs ---------------------------------------------------------------------------------

EMAIL_TIMEOUT = 10  # seconds; a mail server that hangs must not block a worker
globals().update(
    {
        name: value
        for name, value in dj_email_url.parse(
            env.unambiguous("EMAIL_URL", env.text("EMAIL_URL", "console:"))
        ).items()
        if value or name not in {"EMAIL_FILE_PATH", "EMAIL_TIMEOUT"}
    }
)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("EMAIL_FROM", "bc@localhost")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "bc_consumer.redaction.RedactingFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
        "json": {"()": "bc_consumer.redaction.RedactingJSONFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        **{name: {"level": LOG_LEVEL} for name in ("bc_consumer", "odoo_webhook", "project")},
        # Django's own handlers would repeat each line, with secrets in it.
        "django": {"handlers": [], "level": "INFO"},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
    },
}
