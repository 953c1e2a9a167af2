"""Describes differences between a rule in Odoo and the wanted one, for people."""

from django.utils.translation import gettext as _

from bc_consumer.odoo.wanted_rules import Flaw, RuleDifference


def describe_difference(difference: RuleDifference) -> str:
    """Describe a difference in the active language."""
    text = {
        Flaw.MISSING: _("it is missing in Odoo"),
        Flaw.INACTIVE: _("it is archived: it never fires"),
        Flaw.NAME: _("it has another name: %(detail)s"),
        Flaw.TRIGGER: _("it serves another purpose: %(detail)s"),
        Flaw.WATCHED: _("it watches other fields (trigger_field_ids): %(detail)s"),
        Flaw.CONDITION: _("a condition keeps changes from us: %(detail)s"),
        Flaw.ACTION: _("it lacks our webhook action"),
        Flaw.ADDRESS: _("it calls another address: %(detail)s"),
        Flaw.SECRET: _("it has another secret than the first of ODOO_WEBHOOK_SECRETS"),
        Flaw.SENT: _("its webhook sends other fields (webhook_field_ids): %(detail)s"),
    }[difference.flaw]
    return text % {"detail": difference.detail}
