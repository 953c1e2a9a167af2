"""Sees that names are read in a language that Odoo's users have, and again when it was changed.

An unknown language is refused by Odoo 18 and 19 alone; 16 and 17 give the sources' texts without a
word, and every version gives them for en_US where nobody uses it (measured): only the list of
languages in use tells.
"""

from django.conf import settings
from django.db import transaction

from bc_consumer.core.translatable import gettext as _
from bc_consumer.models import CopyOrigin
from bc_consumer.odoo import NoRights, Odoo, OdooFault
from bc_consumer.operations.alerts import alert, over

ALERT = "language"


def watch(odoo: Odoo) -> None:
    """Alert to a language that is not in use, and have a changed one read anew.

    Raises what the gateway raises; an account that may not see Odoo's languages learns nothing.
    """
    _remember()
    try:
        languages = odoo.languages()
    except (NoRights, OdooFault):
        return
    code = settings.ODOO_LANGUAGE
    if code in languages:
        over(ALERT)
        return
    names = ", ".join(languages)
    alert(
        ALERT,
        _("Odoo does not use the language %(code)s", code=code),
        _(
            "ODOO_LANGUAGE is %(code)s, and Odoo's users have %(languages)s: names in the copy need"
            " not be those they see. Set ODOO_LANGUAGE=%(fitting)s, and restart; the next"
            " reconciliation reads the names again.",
            code=code,
            languages=names,
            fitting=fitting(odoo, languages),
        ),
    )


def fitting(odoo: Odoo, languages: tuple[str, ...]) -> str:
    """Give the language to set: the account's own, if it is in use, else the first that is."""
    own = odoo.account_language()
    return own if own in languages else next(iter(languages), "")


def _remember() -> None:
    """Note the language of the names; all orders are read again when it is another than before."""
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
