"""Limits on claims and on calls to Odoo, shared by all processes."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from bc_consumer.core.translatable_field import MessageField, MessageModel, MessageQuerySet


class Pace(MessageModel):
    """One row that every claim locks: nothing is claimed before ``next_claim_at``.

    All workers of a deployment share it, so a stream of events costs a bounded number of calls to
    Odoo per second however many workers there are, and all of them pause when Odoo fails.
    ``ledger/claims.py`` and ``ledger/circuit_breaker.py`` write it; ``ledger/call_slots.py`` writes
    ``next_call_at``.
    """

    next_claim_at = models.DateTimeField(_("next claim"))
    paused_since = models.DateTimeField(
        _("paused since"), null=True, help_text=_("Odoo, or our access to it, failed.")
    )
    pause_seconds = models.FloatField(_("pause (s)"), default=0.0)
    next_call_at = models.DateTimeField(
        _("next call"), null=True, help_text=_("With a limit of calls to Odoo per second.")
    )
    refused = models.BooleanField(_("refused"), default=False)
    reason = MessageField(_("reason"), blank=True)

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("pace")
        verbose_name_plural = _("pace")

    def __str__(self) -> str:
        return f"{self.next_claim_at:%H:%M:%S.%f}"


class CallSlot(models.Model):
    """One of the calls to Odoo that may be in progress at once: see ``ledger/call_slots.py``."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    taken_until = models.DateTimeField(_("taken until"))
    owner = models.BigIntegerField(_("number of the process"), null=True)

    class Meta:
        verbose_name = _("slot for a call")
        verbose_name_plural = _("slots for calls")

    def __str__(self) -> str:
        return f"{self.pk}"
