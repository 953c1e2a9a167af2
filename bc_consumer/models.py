"""The copy (BC, BCLine), the ledger (PendingBC), and what tells what happened to them.

Field names of BC and BCLine are Odoo's (those of Odoo 17 where versions differ). A many2one of Odoo
becomes two columns: ``partner_id``, the id in Odoo (not a foreign key: the partner is not copied),
and ``partner_name``, its display name in the configured language.
"""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from bc_consumer.fields import ExactDecimalField


class BCQuerySet(models.QuerySet["BC"]):
    """Queries that applications use."""

    def current(self) -> "BCQuerySet":
        """Leave out archived orders (gone from Odoo) and those we may no longer read."""
        return self.filter(archived_at__isnull=True, forbidden_at__isnull=True)

    def after(self, version: int) -> "BCQuerySet":
        """Return the orders that changed after this version, in the order of their changes.

        Archived and forbidden ones are among them. Whoever has read up to N misses nothing by
        going on with ``after(N)``: no version up to N can still appear.
        """
        return self.filter(version__gt=version).order_by("version")


class OdooRecord(models.Model):
    """What the copy of any Odoo record has: Odoo's id and its two dates."""

    odoo_id = models.BigIntegerField(_("Odoo id"), unique=True)
    create_date = models.DateTimeField(_("created in Odoo"), null=True)
    write_date = models.DateTimeField(_("changed in Odoo"), null=True)
    extra = models.JSONField(_("further fields"), default=dict, blank=True)

    class Meta:
        abstract = True


class BC(OdooRecord):
    """An order (bon de commande) as Odoo had it when ``synced_at`` says.

    ``BC.objects`` holds every order ever copied; ``BC.objects.current()`` leaves the archived out.
    """

    name = models.TextField(_("reference"), blank=True)
    partner_id = models.BigIntegerField(_("supplier id"), null=True)
    partner_name = models.TextField(_("supplier"), blank=True)
    partner_ref = models.TextField(_("supplier's reference"), blank=True)
    origin = models.TextField(_("source document"), blank=True)
    state = models.TextField(_("state"), blank=True)
    locked = models.BooleanField(_("locked"), default=False)
    invoice_status = models.TextField(_("billing status"), blank=True)
    receipt_status = models.TextField(_("receipt status"), blank=True)
    priority = models.TextField(_("priority"), blank=True)
    date_order = models.DateTimeField(_("order deadline"), null=True)
    date_approve = models.DateTimeField(_("confirmed"), null=True)
    date_planned = models.DateTimeField(_("expected arrival"), null=True)
    effective_date = models.DateTimeField(_("arrived"), null=True)
    currency_id = models.BigIntegerField(_("currency id"), null=True)
    currency_name = models.TextField(_("currency"), blank=True)
    company_id = models.BigIntegerField(_("company id"), null=True)
    company_name = models.TextField(_("company"), blank=True)
    user_id = models.BigIntegerField(_("buyer id"), null=True)
    user_name = models.TextField(_("buyer"), blank=True)
    payment_term_id = models.BigIntegerField(_("payment terms id"), null=True)
    payment_term_name = models.TextField(_("payment terms"), blank=True)
    amount_untaxed = ExactDecimalField(_("untaxed amount"), null=True)
    amount_tax = ExactDecimalField(_("taxes"), null=True)
    amount_total = ExactDecimalField(_("total"), null=True)
    notes = models.TextField(_("terms and conditions"), blank=True)

    synced_at = models.DateTimeField(
        _("as of"),
        null=True,
        help_text=_("When the read of Odoo that this state was last confirmed by began."),
    )
    mapping_version = models.PositiveIntegerField(_("mapping version"), default=0)
    version = models.BigIntegerField(
        _("version"),
        default=0,
        db_default=0,
        help_text=_(
            "Grows with each applied change, archivings included; see docs/applications.md."
        ),
    )
    archived_at = models.DateTimeField(_("archived"), null=True, db_index=True)
    archived_reason = models.TextField(_("archived because"), blank=True)
    forbidden_at = models.DateTimeField(_("not readable since"), null=True)

    objects = BCQuerySet.as_manager()

    class Meta:
        verbose_name = _("order (BC)")
        verbose_name_plural = _("orders (BC)")
        ordering = ("-odoo_id",)
        indexes = (
            models.Index(fields=["partner_id"], name="bc_partner"),
            models.Index(fields=["state"], name="bc_state"),
            models.Index(fields=["write_date"], name="bc_write_date"),
            models.Index(fields=["version"], name="bc_version"),
        )

    def __str__(self) -> str:
        return self.name or f"#{self.odoo_id}"

    @property
    def is_away(self) -> bool:
        """Whether Odoo no longer shows us this order: gone, or forbidden."""
        return self.archived_at is not None or self.forbidden_at is not None


class BCLine(OdooRecord):
    """A line of an order; sections and notes are lines too (``display_type``)."""

    bc = models.ForeignKey(BC, models.CASCADE, related_name="lines", verbose_name=_("order"))
    sequence = models.BigIntegerField(_("sequence"), default=0)
    product_id = models.BigIntegerField(_("product id"), null=True)
    product_name = models.TextField(_("product"), blank=True)
    name = models.TextField(_("description"), blank=True)
    display_type = models.TextField(_("display type"), blank=True)
    product_qty = ExactDecimalField(_("quantity"), null=True)
    qty_received = ExactDecimalField(_("received"), null=True)
    qty_invoiced = ExactDecimalField(_("billed"), null=True)
    product_uom_id = models.BigIntegerField(_("unit id"), null=True)
    product_uom_name = models.TextField(_("unit"), blank=True)
    price_unit = ExactDecimalField(_("unit price"), null=True)
    discount = ExactDecimalField(_("discount (%)"), null=True)
    taxes = models.JSONField(_("taxes"), default=list, blank=True)
    price_subtotal = ExactDecimalField(_("subtotal"), null=True)
    price_tax = ExactDecimalField(_("tax"), null=True)
    price_total = ExactDecimalField(_("total"), null=True)
    date_planned = models.DateTimeField(_("expected arrival"), null=True)
    state = models.TextField(_("state"), blank=True)

    class Meta:
        verbose_name = _("line")
        verbose_name_plural = _("lines")
        ordering = ("bc_id", "sequence", "odoo_id")
        indexes = (models.Index(fields=["product_id"], name="bcline_product"),)

    def __str__(self) -> str:
        return self.name.partition("\n")[0] or f"#{self.odoo_id}"


class Lane(models.IntegerChoices):
    """How urgent a pending row is; lower goes first."""

    WEBHOOK = 0, _("webhook")
    OPERATOR = 1, _("operator")
    BULK = 2, _("bulk")


class Event(models.TextChoices):
    """What the mark says happened in Odoo: a hint, never the truth."""

    CHANGED = "changed", _("changed")
    DELETED = "deleted", _("deleted")


class PendingBC(models.Model):
    """The ledger: an order that the copy still owes a look. ``ledger.py`` alone writes it.

    Owed: ``generation > fetched_generation``. Watching: fetched, with early looks left.
    Every time is the database's clock.
    """

    odoo_id = models.BigIntegerField(_("Odoo id"), primary_key=True)
    generation = models.BigIntegerField(_("generation"), default=1)
    fetched_generation = models.BigIntegerField(_("fetched generation"), default=0)
    lane = models.SmallIntegerField(_("lane"), choices=Lane.choices)
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
    marks = models.PositiveIntegerField(_("marks"), default=1)
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
    held_reason = models.TextField(_("held because"), blank=True)
    last_payload = models.TextField(_("last payload"), blank=True)
    error_class = models.TextField(_("kind of error"), blank=True)
    last_error = models.TextField(_("error"), blank=True)
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

    class Meta:
        verbose_name = _("pending order")
        verbose_name_plural = _("pending orders")
        ordering = ("lane", "due_at")
        indexes = (
            # What a claim reads, in the order in which it reads it.
            models.Index(
                fields=["lane", "due_at", "odoo_id"],
                condition=Q(failed_at__isnull=True, held_reason=""),
                name="pending_claimable",
            ),
            # What the timer asks for: the next moment at which a free row is due.
            models.Index(
                fields=["due_at"],
                condition=Q(failed_at__isnull=True, held_reason="", claim_token__isnull=True),
                name="pending_due",
            ),
            # What the groups of failed rows are made of, and what a replay looks for.
            models.Index(
                fields=["failure", "failed_at"],
                condition=Q(failed_at__isnull=False),
                name="pending_failed",
            ),
            # Rows in a worker's hands: a few, however long the ledger is.
            models.Index(
                fields=["claimed_until"],
                condition=Q(claim_token__isnull=False),
                name="pending_claimed",
            ),
        )

    def __str__(self) -> str:
        return f"#{self.odoo_id}"


class Pace(models.Model):
    """One row, which every claim has to take: nothing is claimed before ``next_claim_at``.

    Shared by all workers of a deployment: a stream of events costs a bounded number of calls to
    Odoo a second, however many workers there are, and all of them leave an Odoo alone that failed.
    ``outage.py`` writes it, and ``call_limits.py`` its ``next_call_at``.
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
    reason = models.TextField(_("reason"), blank=True)

    class Meta:
        verbose_name = _("pace")
        verbose_name_plural = _("pace")

    def __str__(self) -> str:
        return f"{self.next_claim_at:%H:%M:%S.%f}"


class VersionCounter(models.Model):
    """One row: the last version that was given. ``versions.py`` alone writes it."""

    last = models.BigIntegerField()

    class Meta:
        verbose_name = _("version counter")
        verbose_name_plural = _("version counters")

    def __str__(self) -> str:
        return str(self.last)


class AnnouncedVersion(models.Model):
    """One row: the version up to which changes have been announced. ``announcer.py`` writes it."""

    version = models.BigIntegerField()
    token = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("announced version")
        verbose_name_plural = _("announced versions")

    def __str__(self) -> str:
        return str(self.version)


class CallSlot(models.Model):
    """One of the calls to Odoo that may be under way at the same time. See ``call_limits.py``."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    taken_until = models.DateTimeField(_("taken until"))

    class Meta:
        verbose_name = _("slot for a call")
        verbose_name_plural = _("slots for calls")

    def __str__(self) -> str:
        return f"{self.pk}"


class SyncState(models.Model):
    """The reconciliation's watermark and lock. ``lock.py`` alone writes the lock."""

    KEY = "bclinbc"

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
        help_text=_("Set when an event was never confirmed: a window scan is due soon."),
    )

    class Meta:
        verbose_name = _("synchronisation state")
        verbose_name_plural = _("synchronisation states")

    def __str__(self) -> str:
        return self.key


class CopyOrigin(models.Model):
    """One row: what the copy was made of, so that nothing else is mixed into it."""

    KEY = "bclinbc"

    key = models.TextField(primary_key=True, default=KEY)
    order_model = models.TextField(_("order model"))
    seen_fields = models.JSONField(
        _("fields seen"),
        default=list,
        help_text=_("«model.field»: what this Odoo had at some time; what it lacks has vanished."),
    )
    present_fields = models.JSONField(_("fields there"), default=list)
    labels = models.JSONField(
        _("labels of further fields"),
        default=dict,
        help_text=_("What Odoo calls the fields in «extra», of orders and of lines."),
    )
    fields_changed_at = models.DateTimeField(
        _("fields appeared"),
        null=True,
        help_text=_("Orders that were last read before then are read again by the next run."),
    )

    class Meta:
        verbose_name = _("origin of the copy")
        verbose_name_plural = _("origin of the copy")

    def __str__(self) -> str:
        return self.order_model


class SyncLog(models.Model):
    """One reconciliation run: what it was for, what it found, how it ended, where it is."""

    class Status(models.TextChoices):
        RUNNING = "running", _("running")
        OK = "ok", _("ok")
        PARTIAL = "partial", _("partial")
        FAILED = "failed", _("failed")
        REFUSED = "refused", _("refused")
        BRAKED = "braked", _("braked")

    class Cause(models.TextChoices):
        NIGHTLY = "nightly", _("nightly")
        COMMAND = "command", _("command")
        POLL = "poll", _("poll")

    DONE = "done"
    """The phase after the last one."""
    INTERRUPTED = "interrupted: the next run goes on"
    GAVE_WAY = "gave way to a run"
    """The error of a poll that ended because a run waited."""

    started_at = models.DateTimeField(_("start"))
    ended_at = models.DateTimeField(_("end"), null=True)
    status = models.TextField(_("status"), choices=Status.choices, default=Status.RUNNING)
    cause = models.TextField(_("cause"), choices=Cause.choices)
    full = models.BooleanField(_("every order"), default=False)
    forced = models.BooleanField(_("without brake"), default=False)
    digest = models.BooleanField(_("with digest"), default=True)
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
    gone = models.PositiveIntegerField(_("gone from Odoo"), default=0)
    bc_count = models.PositiveIntegerField(_("BC looked at"), default=0)
    applied = models.PositiveIntegerField(_("applied"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    archived = models.PositiveIntegerField(_("archived"), default=0)
    line_count = models.PositiveIntegerField(_("lines written"), default=0)
    lines_deleted = models.PositiveIntegerField(_("lines deleted"), default=0)
    error_count = models.PositiveIntegerField(_("failed"), default=0)
    missed_by_webhooks = models.PositiveIntegerField(_("missed by webhooks"), default=0)
    odoo_calls = models.PositiveIntegerField(_("calls to Odoo"), default=0)
    odoo_bytes = models.BigIntegerField(_("bytes from Odoo"), default=0)
    notes = models.TextField(_("notes"), blank=True)
    error = models.TextField(_("error"), blank=True)
    traceback = models.TextField(_("traceback"), blank=True)

    class Meta:
        verbose_name = _("synchronisation run")
        verbose_name_plural = _("synchronisation runs")
        ordering = ("-started_at",)

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} {self.status}"


class ProvenPeriod(models.Model):
    """A month or day of write_dates whose ids were once compared with Odoo's one by one.

    A past period can only lose rows: while Odoo's figures and ours still equal these, it need not
    be compared again.
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


class Alert(models.Model):
    """What people have been told, so that they are told once."""

    key = models.TextField(_("about"), primary_key=True)
    text = models.TextField(_("text"))
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("latest"))
    count = models.PositiveIntegerField(_("times"), default=1)
    mailed_at = models.DateTimeField(_("mailed"), null=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ("-last_at",)

    def __str__(self) -> str:
        return self.key


class Heartbeat(models.Model):
    """A process that works: when it last said so. ``heartbeats.py`` alone writes it."""

    class Kind(models.TextChoices):
        WORKER = "worker", _("worker")
        SCHEDULER = "scheduler", _("scheduler")

    kind = models.TextField(_("kind"), choices=Kind.choices)
    host = models.TextField(_("machine"))
    pid = models.PositiveIntegerField(_("process id"))
    at = models.DateTimeField(_("last heard of"))

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")
        constraints = (
            models.UniqueConstraint(fields=["kind", "host", "pid"], name="one_heart_a_process"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pid} on {self.host}"


class DeadLetter(models.Model):
    """A message out of RabbitMQ that nobody could read, or that is about no order."""

    queue = models.TextField(_("queue"))
    body = models.BinaryField(_("body"))
    digest = models.CharField(_("digest"), max_length=64, unique=True)
    why = models.TextField(_("why"))
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("latest"))
    count = models.PositiveIntegerField(_("times"), default=1)

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        ordering = ("-last_at",)

    def __str__(self) -> str:
        return f"{self.queue} {self.digest[:8]}"

    @property
    def text(self) -> str:
        """The body as text, whatever it is."""
        return bytes(self.body).decode(errors="backslashreplace")


class JournalEntry(models.Model):
    """What happened to one order, why, with which differences, and how late. Append-only."""

    class Outcome(models.TextChoices):
        CREATED = "created", _("created")
        CHANGED = "changed", _("changed")
        ARCHIVED = "archived", _("archived")
        RESTORED = "restored", _("restored")
        FORBIDDEN = "forbidden", _("no longer readable")
        UNCONFIRMED = "unconfirmed", _("unconfirmed")
        FAILED = "failed", _("failed")
        HELD = "held", _("held")

    odoo_id = models.BigIntegerField(_("Odoo id"))
    at = models.DateTimeField(_("at"))
    outcome = models.TextField(_("outcome"), choices=Outcome.choices)
    causes = models.TextField(_("causes"), blank=True)
    event = models.TextField(_("event"), choices=Event.choices, blank=True)
    marks = models.PositiveIntegerField(_("marks"), default=0)
    first_marked_at = models.DateTimeField(_("first marked"), null=True)
    last_marked_at = models.DateTimeField(_("last marked"), null=True)
    delay = models.FloatField(
        _("delay (s)"), null=True, help_text=_("Seconds from the first mark to the applied change.")
    )
    changes = models.JSONField(_("changes"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    version = models.BigIntegerField(
        _("version"), null=True, help_text=_("The order's, of this change; none where none was.")
    )
    error = models.TextField(_("error"), blank=True)
    run = models.ForeignKey(
        SyncLog,
        models.SET_NULL,
        null=True,
        related_name="journal",
        verbose_name=_("run"),
        help_text=_("The reconciliation run whose mark led to it."),
    )

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
        )

    def __str__(self) -> str:
        return f"#{self.odoo_id} {self.outcome}"
