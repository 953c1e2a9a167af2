"""Everything about one order: the copy, its timeline, what waits or failed, what can be done."""

from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from bc_consumer.console import column_layout, formatting
from bc_consumer.console.actions import action_of, context_of
from bc_consumer.console.failure_advice import advice_for
from bc_consumer.console.figures import OrderStory, order_story
from bc_consumer.console.labels import copies_sales
from bc_consumer.console.page import is_staff, public_page
from bc_consumer.core.odoo_ids import HIGHEST_ID

ENTRIES = 50


@public_page
def order(request: HttpRequest, odoo_id: int) -> HttpResponse:
    """Show one order: copy, lines, journal and pending row.

    404 if nothing is known about it; but staff may have it looked for in Odoo.
    """
    story = order_story(odoo_id, ENTRIES)
    is_known = story is not None
    if story is None:
        if not is_staff(request) or not 0 < odoo_id <= HIGHEST_ID:
            raise Http404(_("The copy has no order with this number."))
        story = OrderStory(odoo_id, None, [], [], None)
    pending = story.pending
    context = {
        "story": story,
        "is_known": is_known,
        "bc": story.bc,
        "fields": column_layout.order_page(),
        "extra": formatting.extra_fields(story.bc, sorted(story.bc.extra)) if story.bc else [],
        "sales": copies_sales(),
        "advice": advice_for(pending.error_class) if pending and pending.error_class else None,
        "odoo_url": odoo_url(odoo_id) if is_staff(request) else "",
        "tell_errors": is_staff(request),
        **context_of(request, action_of(request)),
    }
    return render(request, "bc_consumer/order.html", context)


def odoo_url(odoo_id: int) -> str:
    """Return the address of an order in Odoo's own interface, or "" if it can't be determined.

    A user and password in ODOO_URL are left out. ``/web#id=…`` is Odoo 17's address of the form; 18
    and 19 still understand it.
    """
    parts = urlsplit(settings.ODOO_URL)
    if not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    site = f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"
    return f"{site}/web#id={odoo_id}&model={settings.ODOO_ORDER_MODEL}&view_type=form"
