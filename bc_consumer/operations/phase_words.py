"""What each phase of a run does, in words for logs and for the display of a run's progress."""

from collections.abc import Mapping

from bc_consumer.core.translatable import Message, verbatim
from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import SyncLog

Phase = SyncLog.Phase

WORDS: Mapping[str, Message] = {
    Phase.RETRY_FAILED: _("looking at orders given up before"),
    Phase.MAPPING: _("fields added since"),
    Phase.ORDERS: _("looking for changed orders"),
    Phase.LINES: _("looking for changed lines"),
    Phase.DIGEST_OF_ORDERS: _("comparing counts of orders"),
    Phase.DIGEST_OF_LINES: _("comparing counts of lines"),
    Phase.DRAIN: _("reading what was found"),
    Phase.SCRUB: _("comparing content, whatever the dates say"),
    Phase.OWED: _("orders already pending"),
}


def describe_phase(phase: str) -> Message:
    """Return what this phase does; a phase of another release is called by its own name."""
    if phase.startswith(Phase.NAMES_OF):
        return _("names in %(model)s", model=phase.removeprefix(Phase.NAMES_OF))
    return WORDS.get(phase, verbatim(phase))
