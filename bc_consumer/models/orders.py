"""The copy: orders (BC), their lines, and whose they are.

Field names of BC and BCLine are Odoo's (those of Odoo 17 where versions differ). A many2one of Odoo
becomes two columns: ``partner_id``, the id in Odoo (not a foreign key: the partner is not copied),
and ``partner_name``, its display name in the configured language.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from bc_consumer.core.decimal_field import ExactDecimalField


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
    language = models.TextField(_("language of names"), default="", db_default="")
    fields_changed_at = models.DateTimeField(
        _("fields or language changed"),
        null=True,
        help_text=_("Orders that were last read before then are read again by the next run."),
    )
    sample = models.JSONField(
        _("orders that tell the database again"),
        null=True,
        help_text=_("Some of the oldest and newest, and when they were created: see the guard."),
    )

    class Meta:
        verbose_name = _("origin of the copy")
        verbose_name_plural = _("origin of the copy")

    def __str__(self) -> str:
        return self.order_model
