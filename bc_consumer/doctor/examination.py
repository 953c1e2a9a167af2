"""All checks, in the order in which a person would look."""

from bc_consumer.doctor.database_checks import database_checks
from bc_consumer.doctor.findings import Check
from bc_consumer.doctor.mail_checks import mail_checks
from bc_consumer.doctor.odoo_checks import odoo_checks
from bc_consumer.doctor.orders_checks import orders_checks
from bc_consumer.doctor.rabbitmq_checks import rabbitmq_checks
from bc_consumer.doctor.settings_checks import settings_checks
from bc_consumer.doctor.webhook_checks import webhook_checks
from bc_consumer.doctor.work_checks import work_checks


def all_checks(*, round_trip: bool) -> list[Check]:
    """Give all checks; ``round_trip`` adds a ping through the public address."""
    return [
        *settings_checks(),
        *database_checks(),
        *rabbitmq_checks(),
        *odoo_checks(),
        *orders_checks(),
        *webhook_checks(round_trip),
        *work_checks(),
        *mail_checks(),
    ]
