"""Describes differences between a rule in Odoo and the wanted one, for people."""

from bc_consumer.core.translatable import Message
from bc_consumer.core.translatable import gettext as _
from bc_consumer.odoo.wanted_rules import Flaw, RuleDifference


def describe_difference(difference: RuleDifference) -> Message:
    """Describe a difference."""
    detail = difference.detail
    return {
        Flaw.MISSING: _("it is missing in Odoo"),
        Flaw.INACTIVE: _("it is archived: it never fires"),
        Flaw.NAME: _("it has another name: %(detail)s", detail=detail),
        Flaw.TRIGGER: _("it serves another purpose: %(detail)s", detail=detail),
        Flaw.WATCHED: _("it watches other fields (trigger_field_ids): %(detail)s", detail=detail),
        Flaw.CONDITION: _("a condition hides changes from us: %(detail)s", detail=detail),
        Flaw.ACTION: _("it lacks our webhook action"),
        Flaw.ADDRESS: _("it calls another address: %(detail)s", detail=detail),
        Flaw.SECRET: _("it has another secret, not the first of ODOO_WEBHOOK_SECRETS"),
        Flaw.SENT: _(
            "its webhook sends other fields (webhook_field_ids): %(detail)s", detail=detail
        ),
    }[difference.flaw]
