"""The brake on archivings: an Odoo pointed at the wrong database must not empty the copy.

It counts archivings of every cause within an hour. What it holds back stays in the ledger until the
next run looks again, or a person lets it go.
"""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from bc_consumer.message import Message, verbatim
from bc_consumer.message import gettext as _
from bc_consumer.models import BC

PERIOD = timedelta(hours=1)


def reason_to_hold(count: int, any_order: Callable[[], bool]) -> Message:
    """Say why ``count`` more orders must not be archived now; "" when they may.

    ``any_order`` asks Odoo whether it shows any order at all.
    """
    recent = BC.objects.filter(archived_at__gte=Now() - PERIOD).count()
    current = BC.objects.filter(archived_at__isnull=True, forbidden_at__isnull=True).count()
    allowed = max(settings.BRAKE_ARCHIVINGS, int(settings.BRAKE_SHARE * (current + recent)))
    # The only order of a copy may well be deleted; of more, the database is the likelier cause.
    if current > 1 and not any_order():
        return _(
            "Odoo shows no order at all, and the copy has %(current)s. Is ODOO_DATABASE the right "
            "one, and may the account still read orders?",
            current=current,
        )
    if count and recent + count > allowed:
        return _(
            "%(recent)s orders were archived within an hour and %(more)s more would be; "
            "%(allowed)s are allowed (BRAKE_ARCHIVINGS, BRAKE_SHARE). Is ODOO_DATABASE the right "
            "one, and may the account still read all orders?",
            recent=recent,
            more=count,
            allowed=allowed,
        )
    return verbatim("")
