"""Checks whether alerts could reach people, without sending anything."""

import smtplib
from collections.abc import Iterator

from django.conf import settings
from django.core.mail import get_connection

from bc_consumer.core import apprise_channel
from bc_consumer.core.secret_urls import shown
from bc_consumer.core.translatable import gettext as _
from bc_consumer.doctor.findings import Check, Finding, error, ok, warning
from bc_consumer.operations.outside_monitor import fail_url

SECONDS = 5
SMTP = "django.core.mail.backends.smtp.EmailBackend"


def alert_checks() -> list[Check]:
    """Return the checks of the mail server, of other channels, and of the heartbeat monitor."""
    return [
        Check("mail", _("E-mail"), _mail),
        Check("alert urls", _("Alert channels"), _channels),
        Check("heartbeat url", _("Heartbeat monitor"), _heartbeat),
    ]


def _mail() -> Iterator[Finding]:
    if not settings.ALERT_EMAILS and settings.ALERT_URLS:
        yield ok(_("not used: alerts go to ALERT_URLS"))
        return
    if not settings.ALERT_EMAILS:
        # The project's mail server, if it has one, is not our concern then: we mail nothing.
        yield warning(
            _("ALERT_EMAILS and ALERT_URLS are empty: alerts reach nobody"),
            _("Set ALERT_EMAILS, and EMAIL_URL with it, or ALERT_URLS."),
        )
        return
    if settings.EMAIL_BACKEND != SMTP:
        yield warning(
            _("EMAIL_URL names no mail server: mails go to the log only"),
            _("Set EMAIL_URL to smtp+tls://user:password@host:587"),
        )
        return
    yield _server()


def _server() -> Finding:
    where = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    connection = get_connection(timeout=SECONDS)
    try:
        connection.open()
    except smtplib.SMTPAuthenticationError:
        return error(
            _("%(server)s refuses the user and password", server=where),
            _("Correct them in EMAIL_URL."),
        )
    except (OSError, smtplib.SMTPException) as problem:
        return error(
            _("%(server)s can't be reached: %(error)s", server=where, error=str(problem)),
            _("Correct host, port and scheme (smtp, smtp+tls or smtp+ssl) in EMAIL_URL."),
        )
    finally:
        connection.close()
    return ok(_("%(server)s accepts our login", server=where))


def _channels() -> Iterator[Finding]:
    """Check the URLs, one by one, as far as apprise can without a connection."""
    if not settings.ALERT_URLS:
        yield ok(_("none besides e-mail"))
    for number, url in enumerate(settings.ALERT_URLS, 1):
        if apprise_channel.is_usable(url):
            yield ok(
                _(
                    "ALERT_URLS %(number)d (%(url)s) is well formed",
                    number=number,
                    url=shown(url),
                )
            )
        else:
            yield error(
                _("ALERT_URLS %(number)d can't be used", number=number),
                _(
                    "Write it as https://github.com/caronc/apprise/wiki says for its service, and"
                    " try it: manage.py send_test_alert"
                ),
            )


def _heartbeat() -> Iterator[Finding]:
    """Tell what is set. The monitor is not called: it would take that for a good run."""
    if not settings.HEARTBEAT_URL:
        yield ok(_("none: nothing outside notices if nightly runs stop"))
        return
    if settings.SYNC_NIGHTLY_AT is None:
        yield warning(
            _("HEARTBEAT_URL is set, but SYNC_NIGHTLY_AT is never: it is never called"),
            _("Set SYNC_NIGHTLY_AT to a time, or unset HEARTBEAT_URL."),
        )
        return
    url = shown(settings.HEARTBEAT_URL)
    if fail_url():
        yield ok(_("%(url)s is called after each nightly run, whether good or failed", url=url))
    else:
        yield ok(_("%(url)s is called after each good nightly run", url=url))
