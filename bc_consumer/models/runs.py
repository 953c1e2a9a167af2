"""The reconciliation: its watermark and lock, its runs, and the periods they have proven equal."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from bc_consumer.core.translatable import gettext
from bc_consumer.core.translatable_field import MessageField, MessageModel, MessageQuerySet


class SyncState(models.Model):
    """The reconciliation's watermark and lock.

    Only ``reconciliation/lock.py`` takes the lock; ``operations/run_control.py`` releases it for an
    operator.
    """

    KEY = "bclinbc"
    HAND_OVER = timedelta(minutes=10)
    """The next slice of a run must start within this time, or anybody may take the run over."""
    SLICE_LATE = timedelta(minutes=1)
    """After so long a run's next message counts as lost, and the scheduler resumes it."""
    BETWEEN_SLICES = "run "
    """Prefix of ``owner`` between two slices of a run."""
    OF_PROCESS = "process "
    """Prefix of ``owner`` where the process that holds the lock has a heartbeat. A UUID follows,
    which begins with the process's number."""

    key = models.TextField(_("key"), primary_key=True, default=KEY)
    last_sync = models.DateTimeField(
        _("complete up to"), null=True, help_text=_("On Odoo's clock; moves after a good run only.")
    )
    is_syncing = models.BooleanField(_("running"), default=False)
    owner = models.TextField(_("owner"), blank=True)
    lease_until = models.DateTimeField(_("lease ends"), null=True)
    give_way = models.BooleanField(
        _("asked to give way"), default=False, help_text=_("A run waits for a poll to end.")
    )
    scan_due_at = models.DateTimeField(
        _("scan wanted"),
        null=True,
        help_text=_("Set when an event was missed, or may have been: scans are due soon."),
    )
    webhook_at = models.DateTimeField(
        _("last webhook"),
        null=True,
        help_text=_("Noted every few seconds by the web processes' heartbeats."),
    )

    class Meta:
        verbose_name = _("synchronisation state")
        verbose_name_plural = _("synchronisation states")

    def __str__(self) -> str:
        return self.key

    @classmethod
    def request_scan(cls) -> None:
        """Ask the reconciliation for scans soon, because an event was missed, or may have been.

        They look for what changed and for what is gone, until all that Odoo has open is committed.
        """
        cls.objects.filter(key=cls.KEY).update(scan_due_at=Now())

    @classmethod
    def owner_between_slices(cls, run: int) -> str:
        """Return the owner to note between two slices of this run."""
        return f"{cls.BETWEEN_SLICES}{run}"


class SyncLogQuerySet(MessageQuerySet["SyncLog"]):
    """The records of runs."""

    def without_those_that_gave_way(self) -> Self:
        """Leave out the polls that ended because a run was waiting.

        They are known by the beginning of the stored sentence: a process of the release before
        still stores the parts behind it.
        """
        return self.exclude(error__startswith=str(SyncLog.GAVE_WAY))


class SyncLog(MessageModel):
    """The record of one run of the reconciliation: its cause, findings, outcome and progress."""

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        OK = "ok", _("ok")
        PARTIAL = "partial", _("partial")
        FAILED = "failed", _("failed")
        REFUSED = "refused", _("refused")
        BRAKED = "braked", _("braked")
        STOPPED = "stopped", _("stopped")

    class Cause(models.TextChoices):
        NIGHTLY = "nightly", _("nightly")
        COMMAND = "command", _("command")
        POLL = "poll", _("poll")

    class Phase:
        """The values of ``phase``, and the phases of a dry run; ``reconciliation/run.py`` has
        their table."""

        RETRY_FAILED = "failed"
        MAPPING = "mapping"
        ORDERS = "orders"
        LINES = "lines"
        DIGEST_OF_ORDERS = "digest of orders"
        DIGEST_OF_LINES = "digest of lines"
        NAMES_OF = "names of "
        """The name of a model follows: there is such a phase for each model that has names."""
        OWED = "owed"
        """Of a dry run only: what the ledger owes."""
        SCRUB = "scrub"
        DRAIN = "drain"
        DONE = "done"
        """The run has completed all others."""

    GOOD = (Status.OK, Status.PARTIAL)
    """The run completed all phases, so whatever it covered is complete."""
    INTERRUPTED = gettext("interrupted: the next run goes on")
    FIRST_LOAD = gettext("first load: every order is read")
    """A note."""
    GAVE_WAY = gettext("gave way to a run")
    """The error of a poll that ended because a run was waiting."""

    started_at = models.DateTimeField(_("start"))
    ended_at = models.DateTimeField(_("end"), null=True)
    status = models.TextField(_("status"), choices=Status.choices, default=Status.RUNNING)
    cause = models.TextField(_("cause"), choices=Cause.choices)
    full = models.BooleanField(_("every order"), default=False)
    forced = models.BooleanField(_("without brake"), default=False)
    digest = models.BooleanField(_("with digest"), default=True)
    asked_for = models.BooleanField(
        _("asked for"),
        default=False,
        db_default=False,
        help_text=_("A scan, with digest, because an event was missed or may have been."),
    )
    window_since = models.DateTimeField(_("window from"), null=True)
    window_until = models.DateTimeField(
        _("window up to"), null=True, help_text=_("Odoo's clock before the first read.")
    )
    phase = models.TextField(_("phase"), blank=True)
    cursor = models.BigIntegerField(
        _("cursor"), default=0, help_text=_("The last id that this phase has seen.")
    )
    found_by_window = models.PositiveIntegerField(_("found by window"), default=0)
    found_by_digest = models.PositiveIntegerField(_("found by digest"), default=0)
    found_by_names = models.PositiveIntegerField(_("found by names"), default=0)
    reread_recent = models.PositiveIntegerField(
        _("read again because recent"),
        default=0,
        db_default=0,
        help_text=_(
            "Orders read so soon after their last change that another may hide behind its date."
        ),
    )
    reread_failed = models.PositiveIntegerField(
        _("given up before, tried again"), default=0, db_default=0
    )
    reread_mapping = models.PositiveIntegerField(
        _("read again for other fields"),
        default=0,
        db_default=0,
        help_text=_("Orders that were last read with other fields, or by another version."),
    )
    gone = models.PositiveIntegerField(_("gone from Odoo"), default=0)
    bc_count = models.PositiveIntegerField(_("reads of orders"), default=0)
    applied = models.PositiveIntegerField(_("applied"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    archived = models.PositiveIntegerField(_("archived"), default=0)
    held = models.PositiveIntegerField(_("held"), default=0, db_default=0)
    line_count = models.PositiveIntegerField(_("lines written"), default=0)
    lines_deleted = models.PositiveIntegerField(_("lines deleted"), default=0)
    error_count = models.PositiveIntegerField(_("failed"), default=0)
    scrubbed = models.PositiveIntegerField(
        _("looked at by the scrub"),
        default=0,
        db_default=0,
        help_text=_("Orders whose content was compared although nothing spoke of a change."),
    )
    same_date = models.PositiveIntegerField(
        _("differences under the same date"),
        default=0,
        db_default=0,
        help_text=_("Of those: orders that differed, and no date of theirs had moved."),
    )
    missed_by_webhooks = models.PositiveIntegerField(_("missed by webhooks"), default=0)
    odoo_calls = models.PositiveIntegerField(_("calls to Odoo"), default=0)
    odoo_bytes = models.BigIntegerField(_("bytes from Odoo"), default=0)
    notes = MessageField(_("notes"), blank=True)
    error = MessageField(_("error"), blank=True)
    traceback = models.TextField(_("traceback"), blank=True)
    stop_asked_by = models.TextField(
        _("asked to stop by"),
        blank=True,
        default="",
        db_default="",
        help_text=_("The run ends as soon as it has seen this."),
    )

    objects = SyncLogQuerySet.as_manager()

    class Meta:
        verbose_name = _("synchronisation run")
        verbose_name_plural = _("synchronisation runs")
        ordering = ("-started_at",)
        indexes = (
            # Polls without one come every few seconds; the others are what pages tell of.
            models.Index(
                fields=["started_at"], condition=Q(digest=True), name="synclog_with_digest"
            ),
        )

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} {self.status}"

    @property
    def is_first_load(self) -> bool:
        """Whether this run loads every order, because no run has succeeded before it."""
        return self.window_since is None

    @property
    def kind(self) -> str:
        """Its cause, and whether it is a first load, for the log."""
        return f"{self.cause}, first load" if self.is_first_load else self.cause

    @property
    def was_interrupted(self) -> bool:
        """Whether the run ended because its process was told to stop."""
        return bool(self.error == self.INTERRUPTED)


class ProvenPeriod(models.Model):
    """A month or day of write_dates whose ids were once compared with Odoo's one by one.

    A past period can only lose rows: while Odoo's count and sum of ids, and ours, still equal
    these, it need not be compared again.
    """

    model = models.TextField()
    start = models.DateTimeField()
    end = models.DateTimeField()
    count = models.BigIntegerField()
    id_sum = models.DecimalField(max_digits=30, decimal_places=0)

    class Meta:
        verbose_name = _("proven period")
        verbose_name_plural = _("proven periods")
        constraints = (
            models.UniqueConstraint(fields=["model", "start", "end"], name="one_proof_a_period"),
        )

    def __str__(self) -> str:
        return f"{self.model} {self.start:%Y-%m-%d}"
