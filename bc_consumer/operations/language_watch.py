"""Makes sure that names are read in a language that is active in Odoo.

Only Odoo 18 and 19 refuse an unknown language; 16 and 17 silently return the source texts, and
every version does so for an inactive en_US (measured). Only the list of active languages tells.
"""

from django.conf import settings
from django.db import transaction

from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import CopyOrigin
from bc_consumer.odoo import NoRights, Odoo, OdooFault
from bc_consumer.operations.alerts import alert, resolve_alert

ALERT = "language"


def check_language(odoo: Odoo) -> None:
    """Alert if the language is not active, and have all orders read again if it was changed.

    Raises whatever the gateway raises. An account that may not read Odoo's languages skips the
    check.
    """
    _remember()
    try:
        languages = odoo.languages()
    except (NoRights, OdooFault):
        return
    code = settings.ODOO_LANGUAGE
    if code in languages:
        resolve_alert(ALERT)
        return
    names = ", ".join(languages)
    alert(
        ALERT,
        _("language %(code)s is not active in Odoo", code=code),
        _(
            "ODOO_LANGUAGE is %(code)s, but Odoo's users have %(languages)s: names in the copy may"
            " differ from those they see. Set ODOO_LANGUAGE=%(fitting)s, and restart; the next"
            " reconciliation reads the names again.",
            code=code,
            languages=names,
            fitting=fitting(odoo, languages),
        ),
    )


def fitting(odoo: Odoo, languages: tuple[str, ...]) -> str:
    """Return the language to set: the account's own if active, otherwise the first active one."""
    own = odoo.account_language()
    return own if own in languages else next(iter(languages), "")


def _remember() -> None:
    """Store the language of the names; if it changed, have all orders read again."""
    code = settings.ODOO_LANGUAGE
    with transaction.atomic():
        origin, _created = CopyOrigin.objects.select_for_update().get_or_create(
            key=CopyOrigin.KEY, defaults={"order_model": settings.ODOO_ORDER_MODEL}
        )
        if origin.language == code:
            return
        if origin.language:
            origin.have_all_read_again()
        origin.language = code
        origin.save(update_fields=["language", "fields_changed_at"])
