"""What operators ask for in a browser: each request with who asked, when, and its outcome."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from bc_consumer.core.translatable_field import MessageField, MessageModel, MessageQuerySet


class OperatorAction(MessageModel):
    """One thing that an operator asked for: the request, its progress, its outcome, the record.

    ``operations/action_requests.py`` writes the request, ``operations/action_claims.py`` what
    workers do with it. Every time is on the database's clock.
    """

    class Kind(models.TextChoices):
        """What can be asked for; docs/operations/actions.md has the command for each."""

        COMPARE = "compare", _("compare an order with Odoo")
        READ_AGAIN = "read_again", _("read orders again")
        REPLAY = "replay", _("replay failed orders")
        RELEASE = "release", _("release held orders")
        ARCHIVE = "archive", _("archive held orders")
        RUN = "run", _("reconcile")
        DRY_RUN = "dry_run", _("look for differences")
        MARK_DIFFERENCES = "mark_differences", _("have differences read again")
        STOP = "stop", _("stop the run at work")
        UNLOCK = "unlock", _("release the lock")
        DOCTOR = "doctor", _("run the doctor")
        PING = "ping", _("send a ping through the public address")
        TEST_ALERT = "test_alert", _("send a test alert")
        ACKNOWLEDGE = "acknowledge", _("acknowledge an alert")
        MUTE = "mute", _("mute an alert")
        UNMUTE = "unmute", _("unmute an alert")
        IMPORT_DEAD_LETTERS = "import_dead_letters", _("bring dead letters in")
        DELETE_DEAD_LETTERS = "delete_dead_letters", _("delete dead letters")
        RULES = "rules", _("set up the rules in Odoo")

    class Status(models.TextChoices):
        """How far a request is."""

        ASKED = "asked", pgettext_lazy("status of an action", "asked for")
        RUNNING = "running", _("running")
        DONE = "done", pgettext_lazy("status of an action", "done")
        FAILED = "failed", _("failed")
        REFUSED = "refused", _("refused")
        EXPIRED = "expired", pgettext_lazy("status of an action", "expired")
        CANCELLED = "cancelled", pgettext_lazy("status of an action", "cancelled")

    UNFINISHED = (Status.ASKED, Status.RUNNING)
    FORCE = "ask_forced"
    """The permission to set the archive brake, or the owner of the lock, aside."""
    SEE_TRACEBACKS = "see_tracebacks"
    """The permission to see tracebacks, of orders, runs and actions."""
    FOR_OPERATORS = frozenset(
        {
            Kind.COMPARE, Kind.READ_AGAIN, Kind.REPLAY, Kind.RELEASE, Kind.RUN, Kind.DRY_RUN,
            Kind.MARK_DIFFERENCES, Kind.DOCTOR, Kind.PING, Kind.ACKNOWLEDGE, Kind.MUTE,
            Kind.UNMUTE, Kind.IMPORT_DEAD_LETTERS,
        }
    )  # fmt: skip
    """What the group of operators may ask for; administrators may ask for everything."""

    kind = models.TextField(_("action"), choices=Kind.choices)
    asked_by = models.TextField(_("asked for by"))
    user_id = models.TextField(
        _("user's key"),
        blank=True,
        help_text=_("Not a foreign key: the record outlasts the user. Empty for a command."),
    )
    asked_at = models.DateTimeField(_("asked for at"))
    parameters = models.JSONField(_("parameters"), default=dict, blank=True)
    fingerprint = models.CharField(
        _("fingerprint"), max_length=64, help_text=_("Alike for the same action and parameters.")
    )
    status = models.TextField(
        pgettext_lazy("of an action", "status"), choices=Status.choices, default=Status.ASKED
    )
    started_at = models.DateTimeField(_("start"), null=True)
    ended_at = models.DateTimeField(_("end"), null=True)
    done = models.PositiveIntegerField(_("progress"), default=0)
    total = models.PositiveIntegerField(_("progress: of how many"), null=True)
    outcome = MessageField(_("outcome"), blank=True)
    result = models.JSONField(_("result"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    traceback = models.TextField(_("traceback"), blank=True)
    claim_token = models.UUIDField(_("claim"), null=True)
    lease_until = models.DateTimeField(_("lease ends"), null=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    cancel_asked_by = models.TextField(
        _("cancelled by"),
        blank=True,
        default="",
        db_default="",
        help_text=_("Who asked for its end; the worker that has it in hand sees it within 10 s."),
    )

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("operators' action")
        verbose_name_plural = _("operators' actions")
        ordering = ("-id",)
        default_permissions = ("view",)
        permissions = (
            ("ask_compare", "Can compare an order with Odoo"),
            ("ask_read_again", "Can have orders read again"),
            ("ask_replay", "Can replay failed orders"),
            ("ask_release", "Can release held orders"),
            ("ask_archive", "Can archive held orders"),
            ("ask_run", "Can start a reconciliation"),
            ("ask_dry_run", "Can start a dry run"),
            ("ask_mark_differences", "Can have the differences of a dry run read again"),
            ("ask_stop", "Can stop the run at work"),
            ("ask_unlock", "Can release the lock of the reconciliation"),
            ("ask_doctor", "Can run the doctor"),
            ("ask_ping", "Can send a ping through the public address"),
            ("ask_test_alert", "Can send a test alert"),
            ("ask_acknowledge", "Can acknowledge an alert"),
            ("ask_mute", "Can mute an alert"),
            ("ask_unmute", "Can unmute an alert"),
            ("ask_import_dead_letters", "Can bring dead letters in"),
            ("ask_delete_dead_letters", "Can delete dead letters"),
            ("ask_rules", "Can set up the rules in Odoo"),
            ("ask_forced", "Can set the brake and the lock aside"),
            ("see_tracebacks", "Can see tracebacks"),
        )
        constraints = (
            # A repeated request returns the existing one.
            models.UniqueConstraint(
                fields=["fingerprint"],
                condition=Q(status__in=["asked", "running"]),
                name="one_action_alike",
            ),
        )
        indexes = (
            # What workers look for twice a second.
            models.Index(
                fields=["status", "id"],
                condition=Q(status__in=["asked", "running"]),
                name="action_unfinished",
            ),
            models.Index(fields=["asked_at"], name="action_asked_at"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    @property
    def is_unfinished(self) -> bool:
        """Whether it is asked for or running."""
        return self.status in self.UNFINISHED


def permission_for(kind: OperatorAction.Kind) -> str:
    """Return the codename of the permission to ask for this kind."""
    return f"ask_{kind.value}"
