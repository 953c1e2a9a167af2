"""The settings of bc_consumer and odoo_webhook, for the settings.py of any Django project.

    from bc_consumer.conf import *

Each is read from the environment variable of its name; docs/settings.md explains them. A project
that keeps its settings elsewhere assigns them after that line.
"""

import os as _os
from typing import Any as _Any
from urllib.parse import urlsplit as _urlsplit

from bc_consumer.core.environment import Environment as _Environment

# Underscored, like every name here that is not a setting, so that "import *" skips it.
_env = _Environment(_os.environ)
# Placeholder for a default that differs between PostgreSQL and SQLite; apps.py fills it in.
_BY_DATABASE = 0

# --- Database: what DATABASES["default"]["OPTIONS"] should hold -----------------------------------

# A worker that hangs in mid-transaction must not keep a webhook's row locked for ever.
POSTGRESQL_OPTIONS: dict[str, _Any] = {
    "connect_timeout": 5,
    "application_name": "bc_consumer",
    "options": "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s",
}
# Writers wait for each other instead of failing; readers never wait for a writer.
SQLITE_OPTIONS: dict[str, _Any] = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
}

# --- Error pages and mails ----------------------------------------------------------------------

DEFAULT_EXCEPTION_REPORTER = "bc_consumer.redaction.RedactingExceptionReporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "bc_consumer.redaction.RedactingReporterFilter"

# --- RabbitMQ and Dramatiq ----------------------------------------------------------------------

# Without a URL, ids travel in memory between the threads of one process.
RABBITMQ_URL = _env.url("RABBITMQ_URL", ("amqp", "amqps"))
RABBITMQ_QUEUE = _env.text("RABBITMQ_QUEUE", "bc")
RABBITMQ_QUORUM = _env.flag("RABBITMQ_QUORUM", False)
# The topic exchange on which changes are announced to applications; empty: no announcements.
RABBITMQ_EXCHANGE = _env.text("RABBITMQ_EXCHANGE")
DRAMATIQ_AUTODISCOVER_MODULES = ("actors",)
# Its only actor purges a table that nothing here writes.
DRAMATIQ_IGNORED_MODULES = ("django_dramatiq.tasks",)
DRAMATIQ_BROKER = {
    # RabbitMQ if RABBITMQ_URL is set, otherwise this process's memory.
    "BROKER": "bc_consumer.messaging.broker.broker_from_settings",
    "OPTIONS": {},
    "MIDDLEWARE": [
        "dramatiq.middleware.AgeLimit",
        "dramatiq.middleware.TimeLimit",
        "dramatiq.middleware.ShutdownNotifications",
        "dramatiq.middleware.Callbacks",
        "dramatiq.middleware.Retries",
        "django_dramatiq.middleware.DbConnectionsMiddleware",
        "bc_consumer.workers.dramatiq_middleware.ThreadsMiddleware",
    ],
}

# --- Odoo ---------------------------------------------------------------------------------------

ODOO_URL = _env.url("ODOO_URL", ("https", "http"))
ODOO_DATABASE = _env.text("ODOO_DATABASE")
ODOO_LOGIN = _env.text("ODOO_LOGIN")
ODOO_PASSWORD = _env.text("ODOO_PASSWORD")
# The Odoo model whose orders are copied. It can't change once the copy holds orders.
ODOO_ORDER_MODEL = _env.choice(
    "ODOO_ORDER_MODEL", "purchase.order", ("purchase.order", "sale.order")
)
# Odoo names of further fields, kept in the column "extra".
ODOO_EXTRA_FIELDS = _env.words("ODOO_EXTRA_FIELDS")
ODOO_EXTRA_LINE_FIELDS = _env.words("ODOO_EXTRA_LINE_FIELDS")
# Which orders are copied, e.g. [["state", "!=", "cancel"]]. Empty: all that the account may see.
ODOO_DOMAIN = _env.literal("ODOO_DOMAIN")
ODOO_COMPANY_IDS = _env.integers("ODOO_COMPANY_IDS")
ODOO_TRANSPORT = _env.choice("ODOO_TRANSPORT", "xmlrpc", ("xmlrpc", "jsonrpc", "json2", "auto"))
ODOO_LANGUAGE = _env.text("ODOO_LANGUAGE", "en_US")
ODOO_CA_FILE = _env.text("ODOO_CA_FILE")
ODOO_TIMEOUT_SECONDS = _env.number("ODOO_TIMEOUT_SECONDS", 30, minimum=0.1)
ODOO_MAX_RESPONSE_BYTES = _env.integer("ODOO_MAX_RESPONSE_BYTES", 16 * 2**20, minimum=2**16)
# Both limits apply to all processes together.
ODOO_CONCURRENT_CALLS = _env.integer("ODOO_CONCURRENT_CALLS", 4, minimum=1)
# 0: no limit. Odoo Online asks for restraint.
ODOO_CALLS_PER_SECOND = _env.number(
    "ODOO_CALLS_PER_SECOND", 1 if (_urlsplit(ODOO_URL).hostname or "").endswith(".odoo.com") else 0
)
# An account with Settings rights, used by odoo_rules and doctor only. Empty: ODOO_LOGIN is used.
ODOO_ADMIN_LOGIN = _env.text("ODOO_ADMIN_LOGIN")
ODOO_ADMIN_PASSWORD = _env.text("ODOO_ADMIN_PASSWORD")
# Part of the name of this copy's automation rules in Odoo.
ODOO_RULES_NAME = _env.text("ODOO_RULES_NAME", "bc-consumer")

# --- Webhook ------------------------------------------------------------------------------------

# The address at which Odoo reaches this site.
PUBLIC_URL = _env.url("PUBLIC_URL", ("https", "http"))
ODOO_WEBHOOK_SECRETS = _env.words("ODOO_WEBHOOK_SECRETS")
# early: Odoo calls before it commits (17, 18). committed: after it (19). auto: by version.
ODOO_WEBHOOK_TIMING = _env.choice("ODOO_WEBHOOK_TIMING", "early", ("early", "committed", "auto"))
WEBHOOK_MAX_BODY_BYTES = _env.integer("WEBHOOK_MAX_BODY_BYTES", 256 * 2**10, minimum=1024)
# On PostgreSQL: seconds of silence after which the database, then RabbitMQ, counts as away; and
# seconds that a webhook's answer may take in all. Odoo waits for one second. SQLite has one writer,
# so an event waits there until the worker's batch is written.
WEBHOOK_DATABASE_SECONDS = _env.number("WEBHOOK_DATABASE_SECONDS", 0.08, minimum=0.01)
WEBHOOK_BROKER_SECONDS = _env.number("WEBHOOK_BROKER_SECONDS", 0.1, minimum=0.01)
WEBHOOK_ANSWER_SECONDS = _env.number("WEBHOOK_ANSWER_SECONDS", _BY_DATABASE)

# --- Ledger and workers -------------------------------------------------------------------------

EARLY_LOOKS = _env.numbers("EARLY_LOOKS", "0.15 0.5 1 2 3 5 8 15 30 60 120")
LEASE_SECONDS = _env.number("LEASE_SECONDS", 90, minimum=1)
BATCH_SIZE = _env.integer("BATCH_SIZE", _BY_DATABASE)
BATCH_PACE_SECONDS = _env.number("BATCH_PACE_SECONDS", 0.1)
MAX_ATTEMPTS = _env.integer("MAX_ATTEMPTS", 3, minimum=1)
SWEEP_SECONDS = _env.number("SWEEP_SECONDS", 5, minimum=0.1)
# After so many seconds, a message that nobody has acted on counts as lost and is sent again.
RESEND_SECONDS = _env.number("RESEND_SECONDS", 30, minimum=1)

# --- Reconciliation -----------------------------------------------------------------------------

# When the nightly run is due, in TIME_ZONE; never: no nightly run.
SYNC_NIGHTLY_AT = _env.time_of_day("SYNC_NIGHTLY_AT", "02:30")
# 0: no polling. Set it where Odoo, or the network, cannot send webhooks.
SYNC_POLL_SECONDS = _env.number("SYNC_POLL_SECONDS", 0)
# How far the window reaches back: changes committed late carry an older write_date.
SYNC_OVERLAP_SECONDS = _env.number("SYNC_OVERLAP_SECONDS", 4 * 3600, minimum=0)
# Odoo's longest transaction: within that time a second change may carry the same write_date.
ODOO_LONGEST_TRANSACTION_SECONDS = _env.number("ODOO_LONGEST_TRANSACTION_SECONDS", 900, minimum=1)
SYNC_LEASE_SECONDS = _env.number("SYNC_LEASE_SECONDS", 30, minimum=1)
SYNC_SLICE_SECONDS = _env.number("SYNC_SLICE_SECONDS", 240, minimum=1)
SYNC_PAGE_SIZE = _env.integer("SYNC_PAGE_SIZE", 2000, minimum=1)
# Nights within which every order's content is compared, whatever its dates say; 0: never.
SYNC_SCRUB_DAYS = _env.integer("SYNC_SCRUB_DAYS", 30)
# If an hour's archivings exceed both, further ones are held until a person decides.
BRAKE_ARCHIVINGS = _env.integer("BRAKE_ARCHIVINGS", 20)
BRAKE_SHARE = _env.number("BRAKE_SHARE", 0.02)
# A run that finds more orders than this which no webhook reported sends an alert.
ALERT_MISSED = _env.integer("ALERT_MISSED", 50)
JOURNAL_DAYS = _env.integer("JOURNAL_DAYS", 180, minimum=1)
SYNC_LOG_DAYS = _env.integer("SYNC_LOG_DAYS", 400, minimum=1)
OPERATOR_ACTION_DAYS = _env.integer("OPERATOR_ACTION_DAYS", 400, minimum=1)

# --- Web process --------------------------------------------------------------------------------

# Threads per web process, whatever serves it. Pages may use a quarter of them (page_limits.py).
WEB_THREADS = _env.integer("WEB_THREADS", 64, minimum=1)
# For all statements of one page together; 0: no limit. PostgreSQL only.
PAGE_DATABASE_SECONDS = _env.number("PAGE_DATABASE_SECONDS", 5)

# --- Pages, metrics, alerts, logs ---------------------------------------------------------------

# The bearer token that a monitoring system shows to read /metrics; none: there is no such page.
METRICS_TOKEN = _env.text("METRICS_TOKEN")
# When events are expected, in TIME_ZONE; never: at no time.
WORKING_HOURS = _env.working_hours("WORKING_HOURS", "mon-fri 8-18")
# The live page needs a login unless this is set; ./start sets it for its demonstration.
LIVE_PAGE_PUBLIC = _env.flag("LIVE_PAGE_PUBLIC", False)
ALERT_EMAILS = _env.words("ALERT_EMAILS")
# Chats, SMS, push services: URLs of apprise, all of them secret.
ALERT_URLS = _env.urls("ALERT_URLS")
# An alert whose cause lasts is sent again after so many hours; 0: only once.
ALERT_AGAIN_HOURS = _env.number("ALERT_AGAIN_HOURS", 24)
# An alert is over when its cause has been gone for so long: one that comes and goes is sent once.
ALERT_COOL_DOWN_MINUTES = _env.number("ALERT_COOL_DOWN_MINUTES", 10)
# Alerts that begin within so many seconds are sent as one message; 0: each at once.
ALERT_GROUP_SECONDS = _env.number("ALERT_GROUP_SECONDS", 60)
# Outages of Odoo shorter than this resolve themselves and send no alert.
ALERT_ODOO_AWAY_SECONDS = _env.number("ALERT_ODOO_AWAY_SECONDS", 600)
# Called after each good nightly run, so that a monitor notices when none comes; secret.
HEARTBEAT_URL = _env.url("HEARTBEAT_URL", ("https", "http"))
# Called after a nightly run that failed: a URL, or a path that is added to HEARTBEAT_URL.
HEARTBEAT_FAIL_URL = _env.text("HEARTBEAT_FAIL_URL")
# line: for people. json: one object per line, for log collectors.
LOG_FORMAT = _env.choice("LOG_FORMAT", "line", ("line", "json"))
LOG_LEVEL = _env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
