"""Checks whether alerts could be mailed, without sending anything."""

import smtplib
from collections.abc import Iterator

from django.conf import settings
from django.core.mail import get_connection

from bc_consumer.core.translatable import gettext as _
from bc_consumer.doctor.findings import Check, Finding, error, ok, warning

SECONDS = 5
SMTP = "django.core.mail.backends.smtp.EmailBackend"


def mail_checks() -> list[Check]:
    """Return the check of the mail server."""
    return [Check("mail", _("E-mail"), _mail)]


def _mail() -> Iterator[Finding]:
    if not settings.ALERT_EMAILS:
        # The project's mail server, if it has one, is not our concern then: we mail nothing.
        yield warning(
            _("ALERT_EMAILS is empty: alerts reach nobody"),
            _("Set ALERT_EMAILS, and EMAIL_URL with it."),
        )
        return
    if settings.EMAIL_BACKEND != SMTP:
        yield warning(
            _("EMAIL_URL names no mail server: alerts go to the log only"),
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
            _("%(server)s refuses user and password", server=where),
            _("Correct them in EMAIL_URL."),
        )
    except (OSError, smtplib.SMTPException) as problem:
        return error(
            _("%(server)s can't be reached: %(error)s", server=where, error=str(problem)),
            _("Correct host, port and smtp://, smtp+tls:// or smtp+ssl:// in EMAIL_URL."),
        )
    finally:
        connection.close()
    return ok(_("%(server)s accepts our login", server=where))
