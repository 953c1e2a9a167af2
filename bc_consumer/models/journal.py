"""What happened to each order, and up to which version applications were told of it."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from bc_consumer.core.translatable_field import MessageField, MessageModel, MessageQuerySet
from bc_consumer.models.ledger import Event
from bc_consumer.models.runs import SyncLog


class JournalEntry(MessageModel):
    """What happened to one order: cause, differences, delay. Append-only."""

    class Outcome(models.TextChoices):
        CREATED = "created", _("created")
        CHANGED = "changed", _("changed")
        ARCHIVED = "archived", _("archived")
        RESTORED = "restored", _("restored")
        FORBIDDEN = "forbidden", _("access lost")
        CONFIRMED = "confirmed", _("deletion confirmed")
        UNCONFIRMED = "unconfirmed", _("unconfirmed")
        FAILED = "failed", _("failed")
        HELD = "held", _("held")

    class DelayFrom(models.TextChoices):
        """The moment that a delay is counted from; ``refresh/change_delay.py`` decides."""

        MARK = "mark", _("webhook")
        CHANGE = "change", _("change in Odoo")

    odoo_id = models.BigIntegerField(_("Odoo id"))
    at = models.DateTimeField(_("at"))
    outcome = models.TextField(_("outcome"), choices=Outcome.choices)
    causes = models.TextField(_("causes"), blank=True)
    event = models.TextField(_("event"), choices=Event.choices, blank=True)
    marks = models.PositiveIntegerField(_("signals"), default=0)
    first_marked_at = models.DateTimeField(_("first marked"), null=True)
    last_marked_at = models.DateTimeField(_("last marked"), null=True)
    delay = models.FloatField(
        _("delay (s)"),
        null=True,
        help_text=_("Seconds until the change was applied; none where nothing announced it."),
    )
    delay_from = models.TextField(
        _("delay counted from"),
        choices=DelayFrom.choices,
        blank=True,
        default="",
        db_default="",
        help_text=_("Empty: no delay, or one that an earlier version counted from the first mark."),
    )
    changes = models.JSONField(_("changes"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    version = models.BigIntegerField(
        _("version"), null=True, help_text=_("The order's, of this change; none where none was.")
    )
    error = MessageField(_("error"), blank=True)
    run = models.ForeignKey(
        SyncLog,
        models.SET_NULL,
        null=True,
        related_name="journal",
        verbose_name=_("run"),
        help_text=_("The reconciliation run whose mark led to it."),
    )

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("journal entry")
        verbose_name_plural = _("journal")
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["odoo_id", "-id"], name="journal_bc"),
            models.Index(fields=["at"], name="journal_at"),
            models.Index(
                fields=["version"], condition=Q(version__isnull=False), name="journal_version"
            ),
            # For the list of one outcome. Nearly all entries tell of a change: those are not in it.
            models.Index(
                fields=["outcome", "-id"],
                condition=~Q(outcome="changed"),
                name="journal_outcome",
            ),
            # The figures of delays read this index alone.
            models.Index(
                fields=["at", "delay_from", "delay"],
                condition=~Q(delay_from=""),
                name="journal_delays",
            ),
        )

    def __str__(self) -> str:
        return f"#{self.odoo_id} {self.outcome}"


class VersionCounter(models.Model):
    """One row: the last version assigned. Only ``refresh/writer.py`` writes it."""

    ONLY = 1
    """That row's key."""

    last = models.BigIntegerField()

    class Meta:
        verbose_name = _("version counter")
        verbose_name_plural = _("version counters")

    def __str__(self) -> str:
        return str(self.last)


class AnnouncedVersion(models.Model):
    """One row: the version up to which changes are announced; ``messaging/announcer`` writes it."""

    version = models.BigIntegerField()
    token = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("announced version")
        verbose_name_plural = _("announced versions")

    def __str__(self) -> str:
        return str(self.version)
