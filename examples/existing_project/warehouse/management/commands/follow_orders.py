"""Exact: reads everything that changed since last time, each change once."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from bc_consumer.models import BC
from warehouse.models import Expected, Position

AT_ONCE = 500


class Command(BaseCommand):
    """Run it now and then, or for ever with a pause; what it has read it reads no more."""

    help = "Brings the expected orders up to date."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Go on from where the last run ended."""
        Position.objects.get_or_create(pk=1)
        read = 0
        while count := self._some():
            read += count
        self.stdout.write(f"{read} orders read")

    @transaction.atomic
    def _some(self) -> int:
        """Take in a piece; the position moves in the same transaction."""
        position = Position.objects.select_for_update().get(pk=1)
        changed = list(BC.objects.after(position.version)[:AT_ONCE])
        for bc in changed:
            if bc.is_away:
                Expected.objects.filter(odoo_id=bc.odoo_id).delete()
            else:
                values = {"supplier": bc.partner_name, "version": bc.version}
                Expected.objects.update_or_create(odoo_id=bc.odoo_id, defaults=values)
            position.version = bc.version
        position.save()
        return len(changed)
