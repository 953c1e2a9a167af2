"""What operators see: alerts, dead letters, and which processes are alive."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from bc_consumer.core.translatable_field import MessageField, MessageModel, MessageQuerySet


class Alert(MessageModel):
    """An alert that people were sent, kept so that it is sent once."""

    key = models.TextField(_("about"), primary_key=True)
    subject = MessageField(_("subject"), default="", db_default="")
    text = MessageField(_("text"))
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("latest"))
    count = models.PositiveIntegerField(_("times"), default=1)
    mailed_at = models.DateTimeField(_("mailed"), null=True)

    objects = MessageQuerySet.as_manager()

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
    """When a process last reported that it is alive. Only ``operations/heartbeats.py`` writes it.

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
