"""The ledger: the orders that the copy still has to fetch from Odoo."""

from typing import Any, Self

from django.db import models, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from bc_consumer.core.translatable_field import MessageField, MessageModel, MessageQuerySet


class Lane(models.IntegerChoices):
    """How urgent a pending row is; the lowest is claimed first."""

    WEBHOOK = 0, _("webhook")
    OPERATOR = 1, _("operator")
    BULK = 2, _("bulk")


WEBHOOK = "webhook"
"""The cause of a webhook's mark."""


def has_cause(causes: str, cause: str) -> bool:
    """Return whether ``cause`` is among ``causes``, as a row has them: separated by commas."""
    return cause in causes.split(",")


class Event(models.TextChoices):
    """What happened in Odoo according to the mark: a hint, never trusted."""

    CHANGED = "changed", _("changed")
    DELETED = "deleted", _("deleted")


class PendingBCQuerySet(MessageQuerySet["PendingBC"]):
    """Rows of the ledger.

    What changes several rows locks them by ascending id first, so that no two such statements wait
    for each other. Only a claim picks them by urgency: it skips those that are locked, and so waits
    for none.
    """

    def outstanding(self) -> Self:
        """Return the rows that a run marked and that were not fetched, failed or held since."""
        return self.filter(
            fetched_generation__lt=F("run_generation"), failed_at__isnull=True, held_reason=""
        )

    def locked(self) -> Self:
        """Lock these rows by ascending id and return them; call it in a transaction."""
        ids = self.select_for_update().order_by("odoo_id").values_list("odoo_id", flat=True)
        return type(self)(self.model, using=self.db).filter(odoo_id__in=list(ids))

    def update_locked(self, **values: Any) -> int:
        """Update these rows, locked first: a bare UPDATE locks them in the order of the table."""
        with transaction.atomic():
            return self.locked().update(**values)


class PendingBC(MessageModel):
    """The ledger: an order that the copy still has to fetch from Odoo.

    Only the room ``ledger`` and ``operations/clock_steps.py`` write it. Owed: ``generation >
    fetched_generation``. Watching: fetched, with early looks left. Every time is on the database's
    clock.
    """

    odoo_id = models.BigIntegerField(_("Odoo id"), primary_key=True)
    generation = models.BigIntegerField(_("generation"), default=1)
    fetched_generation = models.BigIntegerField(_("fetched generation"), default=0)
    lane = models.SmallIntegerField(_("queue"), choices=Lane.choices)
    causes = models.TextField(_("causes"), help_text=_("Who marked it, separated by commas."))
    event = models.TextField(_("event"), choices=Event.choices)
    early = models.BooleanField(
        _("marked early"),
        default=False,
        help_text=_("Odoo may not have committed yet: looked at until its list of looks is over."),
    )
    shown_at = models.DateTimeField(_("first difference applied"), null=True)
    first_marked_at = models.DateTimeField(_("first marked"))
    last_marked_at = models.DateTimeField(_("last marked"))
    owed_since = models.DateTimeField(
        _("waits since"),
        null=True,
        help_text=_("Its first mark, or when it was opened again after it had failed or was held."),
    )
    marks = models.PositiveIntegerField(_("signals"), default=1)
    due_at = models.DateTimeField(_("due"))
    sent_at = models.DateTimeField(_("message sent"), null=True)
    claim_token = models.UUIDField(_("claim"), null=True)
    claimed_until = models.DateTimeField(_("claimed until"), null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    batch_limit = models.PositiveSmallIntegerField(
        _("read with"),
        default=0,
        help_text=_("At most so many orders in one call, after a larger one failed; 0: any."),
    )
    held_reason = MessageField(_("held because"), blank=True)
    held_at = models.DateTimeField(
        _("held since"),
        null=True,
        help_text=_("Kept while a run looks again; empty once the order was read and not held."),
    )
    last_payload = models.TextField(_("last payload"), blank=True)
    error_class = models.TextField(_("kind of error"), blank=True)
    last_error = MessageField(_("error"), blank=True)
    failure = models.TextField(
        _("cause"), blank=True, help_text=_("The error without numbers: alike for one cause.")
    )
    traceback = models.TextField(_("traceback"), blank=True)
    first_failed_at = models.DateTimeField(_("first failed"), null=True)
    failed_at = models.DateTimeField(_("given up"), null=True)
    run = models.ForeignKey(
        "SyncLog",
        models.SET_NULL,
        null=True,
        related_name="pending",
        verbose_name=_("marked by run"),
    )
    run_generation = models.BigIntegerField(_("generation of that mark"), null=True)

    objects = PendingBCQuerySet.as_manager()

    class Meta:
        verbose_name = _("pending order")
        verbose_name_plural = _("pending orders")
        ordering = ("lane", "due_at")
        indexes = (
            # What a claim reads, in this order.
            models.Index(
                fields=["lane", "due_at", "odoo_id"],
                condition=Q(failed_at__isnull=True, held_reason=""),
                name="pending_claimable",
            ),
            # What the timer asks for: when the next unclaimed row is due.
            models.Index(
                fields=["due_at"],
                condition=Q(failed_at__isnull=True, held_reason="", claim_token__isnull=True),
                name="pending_due",
            ),
            # For grouping failed rows and for replaying a group.
            models.Index(
                fields=["failure", "failed_at"],
                condition=Q(failed_at__isnull=False),
                name="pending_failed",
            ),
            # Claimed rows: a few, however long the ledger is.
            models.Index(
                fields=["claimed_until"],
                condition=Q(claim_token__isnull=False),
                name="pending_claimed",
            ),
        )

    def __str__(self) -> str:
        return f"#{self.odoo_id}"
