"""The copy: orders (BC), their lines, and the Odoo that they come from.

Fields of BC and BCLine are named as in Odoo (Odoo 17 where versions differ). A many2one becomes two
columns: ``partner_id``, the id in Odoo (not a foreign key, since partners are not copied), and
``partner_name``, its display name in the configured language. ``fields/table.py`` declares labels
and everything else about a column; tests/unit/test_fields.py compares the two.
"""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from bc_consumer.core.decimal_field import ExactDecimalField
from bc_consumer.core.sql_dialect import database_now
from bc_consumer.fields.columns import line_label, order_label

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


def _order(column: str) -> "StrPromise":
    """Return the translated label of an order's column, from the table of copied fields."""
    return _(order_label(column))


def _line(column: str) -> "StrPromise":
    """Return the translated label of a line's column."""
    return _(line_label(column))


class BCQuerySet(models.QuerySet["BC"]):
    """Queries for applications."""

    def current(self) -> "BCQuerySet":
        """Exclude archived orders (gone from Odoo) and forbidden ones (no longer readable)."""
        return self.filter(archived_at__isnull=True, forbidden_at__isnull=True)

    def after(self, version: int) -> "BCQuerySet":
        """Return the orders that changed after this version, in the order of their changes.

        Archived and forbidden ones are included. A reader that has seen everything up to version N
        misses nothing by continuing with ``after(N)``: no version up to N can appear later.
        """
        return self.filter(version__gt=version).order_by("version")


class OdooRecord(models.Model):
    """What the copy of every Odoo record has: its id in Odoo and its two dates."""

    odoo_id = models.BigIntegerField(_("Odoo id"), unique=True)
    create_date = models.DateTimeField(_order("create_date"), null=True)
    write_date = models.DateTimeField(_order("write_date"), null=True)
    extra = models.JSONField(_("further fields"), default=dict, blank=True)

    class Meta:
        abstract = True


class BC(OdooRecord):
    """An order (bon de commande) as it was in Odoo at ``synced_at``.

    ``BC.objects`` contains every order ever copied; ``BC.objects.current()`` excludes archived and
    forbidden ones.
    """

    name = models.TextField(_order("name"), blank=True)
    partner_id = models.BigIntegerField(_order("partner_id"), null=True)
    partner_name = models.TextField(_order("partner_name"), blank=True)
    partner_ref = models.TextField(_order("partner_ref"), blank=True)
    origin = models.TextField(_order("origin"), blank=True)
    state = models.TextField(_order("state"), blank=True)
    locked = models.BooleanField(_order("locked"), default=False)
    invoice_status = models.TextField(_order("invoice_status"), blank=True)
    receipt_status = models.TextField(_order("receipt_status"), blank=True)
    priority = models.TextField(_order("priority"), blank=True)
    date_order = models.DateTimeField(_order("date_order"), null=True)
    date_approve = models.DateTimeField(_order("date_approve"), null=True)
    date_planned = models.DateTimeField(_order("date_planned"), null=True)
    effective_date = models.DateTimeField(_order("effective_date"), null=True)
    currency_id = models.BigIntegerField(_order("currency_id"), null=True)
    currency_name = models.TextField(_order("currency_name"), blank=True)
    company_id = models.BigIntegerField(_order("company_id"), null=True)
    company_name = models.TextField(_order("company_name"), blank=True)
    user_id = models.BigIntegerField(_order("user_id"), null=True)
    user_name = models.TextField(_order("user_name"), blank=True)
    payment_term_id = models.BigIntegerField(_order("payment_term_id"), null=True)
    payment_term_name = models.TextField(_order("payment_term_name"), blank=True)
    amount_untaxed = ExactDecimalField(_order("amount_untaxed"), null=True)
    amount_tax = ExactDecimalField(_order("amount_tax"), null=True)
    amount_total = ExactDecimalField(_order("amount_total"), null=True)
    notes = models.TextField(_order("notes"), blank=True)

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
            # Few orders are in these, which are counted for pages and for the monitoring.
            models.Index(
                fields=["archived_at"], condition=Q(archived_at__isnull=False), name="bc_archived"
            ),
            models.Index(
                fields=["forbidden_at"],
                condition=Q(forbidden_at__isnull=False),
                name="bc_forbidden",
            ),
        )

    def __str__(self) -> str:
        return self.name or f"#{self.odoo_id}"

    @property
    def is_away(self) -> bool:
        """Whether Odoo no longer shows us this order: it is archived or forbidden."""
        return self.archived_at is not None or self.forbidden_at is not None


class BCLine(OdooRecord):
    """An order's line; sections and notes are lines too (``display_type``)."""

    bc = models.ForeignKey(BC, models.CASCADE, related_name="lines", verbose_name=_("order"))
    sequence = models.BigIntegerField(_line("sequence"), default=0)
    product_id = models.BigIntegerField(_line("product_id"), null=True)
    product_name = models.TextField(_line("product_name"), blank=True)
    name = models.TextField(_line("name"), blank=True)
    display_type = models.TextField(_line("display_type"), blank=True)
    product_qty = ExactDecimalField(_line("product_qty"), null=True)
    qty_received = ExactDecimalField(_line("qty_received"), null=True)
    qty_invoiced = ExactDecimalField(_line("qty_invoiced"), null=True)
    product_uom_id = models.BigIntegerField(_line("product_uom_id"), null=True)
    product_uom_name = models.TextField(_line("product_uom_name"), blank=True)
    price_unit = ExactDecimalField(_line("price_unit"), null=True)
    discount = ExactDecimalField(_line("discount"), null=True)
    taxes = models.JSONField(_line("taxes"), default=list, blank=True)
    price_subtotal = ExactDecimalField(_line("price_subtotal"), null=True)
    price_tax = ExactDecimalField(_line("price_tax"), null=True)
    price_total = ExactDecimalField(_line("price_total"), null=True)
    date_planned = models.DateTimeField(_line("date_planned"), null=True)
    state = models.TextField(_line("state"), blank=True)

    class Meta:
        verbose_name = _("line")
        verbose_name_plural = _("lines")
        ordering = ("bc_id", "sequence", "odoo_id")
        # With the order, so that the orders of a product are read from the index alone.
        indexes = (models.Index(fields=["product_id", "bc"], name="bcline_product_order"),)

    def __str__(self) -> str:
        return self.name.partition("\n")[0] or f"#{self.odoo_id}"


class CopyOrigin(models.Model):
    """One row: where the copy comes from, so that nothing else gets mixed into it."""

    KEY = "bclinbc"

    key = models.TextField(primary_key=True, default=KEY)
    order_model = models.TextField(_("order model"))
    seen_fields = models.JSONField(
        _("fields seen"),
        default=list,
        help_text=_('"model.field": what this Odoo had at some time; what it lacks has vanished.'),
    )
    present_fields = models.JSONField(_("fields there"), default=list)
    labels = models.JSONField(
        _("labels of further fields"),
        default=dict,
        help_text=_('What Odoo calls the fields in "extra", of orders and of lines.'),
    )
    language = models.TextField(_("language of names"), default="", db_default="")
    fields_changed_at = models.DateTimeField(
        _("fields or language changed"),
        null=True,
        help_text=_("Orders last read before then are read again by the next run."),
    )
    sample = models.JSONField(
        _("orders that tell the database again"),
        null=True,
        help_text=_("Some of the oldest and newest, and when they were created."),
    )

    class Meta:
        verbose_name = _("origin of the copy")
        verbose_name_plural = _("origin of the copy")

    def __str__(self) -> str:
        return self.order_model

    def have_all_read_again(self) -> None:
        """Mark every order read before now as out of date (unsaved); see docs/reading-again.md."""
        self.fields_changed_at = database_now()
