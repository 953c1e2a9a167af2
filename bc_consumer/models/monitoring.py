"""What operators see: alerts, dead letters, and which processes are alive."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from bc_consumer.core.translatable_field import MessageField, MessageModel, MessageQuerySet


class OpenAlerts(models.Manager["Alert"]):
    """Alerts whose cause lasts."""

    def get_queryset(self) -> models.QuerySet["Alert"]:
        """Leave out those that are resolved."""
        return MessageQuerySet(self.model, using=self._db).filter(resolved_at=None)


class Alert(MessageModel):
    """An alert, with what people were told of it. ``operations/alerts.py`` writes it.

    A resolved one stays for a while, unseen: it may recur within minutes, and may be muted.
    ``objects`` leaves it out, ``known`` has it.
    """

    key = models.TextField(_("about"), primary_key=True)
    subject = MessageField(_("subject"), default="", db_default="")
    text = MessageField(_("text"))
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("latest"))
    count = models.PositiveIntegerField(_("times"), default=1)
    mailed_at = models.DateTimeField(_("sent"), null=True)
    """When somebody last took it."""
    sent = models.JSONField(default=dict, db_default={})
    """When each recipient took it, in seconds since 1970, by the recipient's name."""
    tried_at = models.DateTimeField(null=True)
    """When sending it last began; empty once everybody has taken it."""
    waits_since = models.DateTimeField(null=True)
    """Since when it waits to be sent together with others; empty if it does not wait."""
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True)
    acknowledged_by = models.TextField(_("acknowledged by"), default="", db_default="")
    muted_until = models.DateTimeField(_("muted until"), null=True)
    muted_by = models.TextField(_("muted by"), default="", db_default="")
    resolved_at = models.DateTimeField(_("resolved"), null=True)
    over_subject = MessageField(default="", db_default="")
    """The message that it is over, until that is sent; empty if there is none."""
    over_text = MessageField(default="", db_default="")

    objects = OpenAlerts()
    known = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ("-last_at",)

    def __str__(self) -> str:
        return self.key


class DeadLetter(MessageModel):
    """A message from RabbitMQ that could not be read, or that concerns no order."""

    queue = models.TextField(_("queue"))
    body = models.BinaryField(_("body"))
    digest = models.CharField(_("digest"), max_length=64, unique=True)
    why = MessageField(_("why"))
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("latest"))
    count = models.PositiveIntegerField(_("times"), default=1)

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        ordering = ("-last_at",)

    def __str__(self) -> str:
        return f"{self.queue} {self.digest[:8]}"

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are shown as escapes."""
        return bytes(self.body).decode(errors="backslashreplace")


class Heartbeat(models.Model):
    """When a process last reported that it is alive. ``operations/heartbeats.py`` writes it.

    Identified by ``number``, because containers may share host name and process id. None: the
    process has died, and its claims were released.
    """

    class Kind(models.TextChoices):
        WORKER = "worker", _("worker")
        SCHEDULER = "scheduler", _("scheduler")
        WEB = "web", _("web")

    kind = models.TextField(_("kind"), choices=Kind.choices)
    host = models.TextField(_("machine"))
    pid = models.PositiveIntegerField(_("process id"))
    at = models.DateTimeField(_("last heard of"))
    number = models.BigIntegerField(_("what its claims begin with"), null=True)
    version = models.TextField(_("version"), blank=True, default="", db_default="")
    odoo_answered_at = models.DateTimeField(
        _("Odoo last answered it"), null=True, help_text=_("Empty: not since it was started.")
    )

    class Meta:
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")
        constraints = (
            models.UniqueConstraint(fields=["kind", "number"], name="one_heart_a_process"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.pid} on {self.host}"
