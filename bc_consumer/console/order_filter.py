"""The filter of the list of orders."""

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from bc_consumer.console import filter_names, search
from bc_consumer.console.filter_names import KnownName
from bc_consumer.console.labels import states
from bc_consumer.models import BC

PRESENCE = (
    ("current", _("in Odoo")),
    ("archived", _("archived")),
    ("forbidden", _("access lost")),
)
NAMES_OFFERED = 500
"""Buyers, companies and currencies that a list offers; there are seldom so many."""
DAY = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
EARLIEST, LATEST = date(1900, 1, 1), date(2200, 1, 1)
"""Days that can be asked for: a day later, or in another time zone, must still be one."""
DAYS = (MinValueValidator(EARLIEST), MaxValueValidator(LATEST))


def _choices(known: Callable[[], list[KnownName]]) -> Callable[[], Iterable[tuple[Any, Any]]]:
    def offered() -> Iterable[tuple[Any, Any]]:
        yield "", ""
        for one in known()[:NAMES_OFFERED]:
            yield one.odoo_id, one.name

    return offered


class OrderFilter(forms.Form):
    """What a reader asks of the list of orders. An empty field asks nothing."""

    words = forms.CharField(
        label=_("Order, supplier, reference, product"),
        max_length=search.LONGEST_WORDS,
        required=False,
    )
    supplier = forms.CharField(label=_("Supplier"), max_length=search.LONGEST_WORDS, required=False)
    buyer = forms.TypedChoiceField(
        label=_("Buyer"), choices=_choices(filter_names.buyers), coerce=int, required=False
    )
    company = forms.TypedChoiceField(
        label=_("Company"), choices=_choices(filter_names.companies), coerce=int, required=False
    )
    currency = forms.TypedChoiceField(
        label=_("Currency"), choices=_choices(filter_names.currencies), coerce=int, required=False
    )
    state = forms.ChoiceField(
        label=_("State"), choices=lambda: [("", ""), *states().items()], required=False
    )
    presence = forms.ChoiceField(label=_("Presence"), choices=[("", ""), *PRESENCE], required=False)
    ordered_from = forms.DateField(
        label=_("Ordered from"), widget=DAY, validators=DAYS, required=False
    )
    ordered_to = forms.DateField(
        label=pgettext_lazy("a date", "to"), widget=DAY, validators=DAYS, required=False
    )
    total_from = forms.DecimalField(
        label=_("Total from"), max_digits=20, decimal_places=6, required=False
    )
    total_to = forms.DecimalField(
        label=pgettext_lazy("an amount", "to"), max_digits=20, decimal_places=6, required=False
    )

    def orders(self) -> QuerySet[BC]:
        """Return the orders that the filter lets through, newest first; none if it is wrong."""
        if not self.is_valid():
            return BC.objects.none()
        return BC.objects.filter(*self._conditions()).order_by("-odoo_id")

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the words is asked."""
        return any(
            value not in ("", None)
            for name, value in self.data.items()
            if name in self.fields and name != "words"
        )

    def _conditions(self) -> Iterable[Q]:
        asked = self.cleaned_data
        if asked["words"]:
            yield search.matching(asked["words"])
        if asked["supplier"]:
            yield Q(
                partner_id__in=filter_names.ids_like(filter_names.suppliers(), asked["supplier"])
            )
        for name, column in (
            ("buyer", "user_id"),
            ("company", "company_id"),
            ("currency", "currency_id"),
            ("state", "state"),
        ):
            if asked[name]:
                yield Q(**{column: asked[name]})
        if asked["presence"]:
            yield self._presence(asked["presence"])
        if asked["ordered_from"]:
            yield Q(date_order__gte=_midnight(asked["ordered_from"]))
        if asked["ordered_to"]:
            yield Q(date_order__lt=_midnight(asked["ordered_to"] + timedelta(days=1)))
        if asked["total_from"] is not None:
            yield Q(amount_total__gte=asked["total_from"])
        if asked["total_to"] is not None:
            yield Q(amount_total__lte=asked["total_to"])

    @staticmethod
    def _presence(asked: str) -> Q:
        if asked == "archived":
            return Q(archived_at__isnull=False)
        if asked == "forbidden":
            return Q(forbidden_at__isnull=False, archived_at__isnull=True)
        return Q(archived_at__isnull=True, forbidden_at__isnull=True)


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
