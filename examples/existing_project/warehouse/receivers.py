"""Quick, and at most once: what the signal tells."""

from typing import Any

from django.dispatch import receiver

from bc_consumer.models import BC
from bc_consumer.signals import bc_synced
from warehouse.models import Notice


@receiver(bc_synced, sender=BC)
def order_changed(bc: BC, outcome: str, cause: str, version: int, **_: Any) -> None:
    """Note it; anything longer belongs into a task of its own."""
    Notice.objects.create(odoo_id=bc.odoo_id, outcome=outcome, cause=cause, version=version)
