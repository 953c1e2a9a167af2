"""Checks of the settings: all Django system checks, ``installation/setting_checks.py`` included."""

from collections.abc import Iterator

from django.core import checks

from bc_consumer.core.translatable import gettext as _
from bc_consumer.doctor.findings import Check, Finding, error, ok, warning


def django_checks() -> list[Check]:
    """Return the check of the settings."""
    return [Check("settings", _("Settings"), _settings)]


def _settings() -> Iterator[Finding]:
    messages = [message for message in checks.run_checks() if not message.is_silenced()]
    for message in messages:
        text = f"{message.id}: {message.msg}"
        make = error if message.is_serious() else warning
        yield make(text, str(message.hint or ""))
    if not messages:
        yield ok(_("complete and consistent"))
