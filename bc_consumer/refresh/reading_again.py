"""Which orders a run reads again although nothing in Odoo says that they changed.

docs/reading-again.md tells the whole of it. Two things are looked at: what a row says it was made
of, and since when such rows are out of date all the same.
"""

from django.db.models import Q
from django.db.models.functions import Now

from bc_consumer.models import CopyOrigin
from bc_consumer.odoo import FieldSet
from bc_consumer.refresh.mapping import current_versions


def to_be_read_again(fields: FieldSet) -> Q:
    """Return the condition on orders; ``fields``: those that this Odoo has now."""
    made_otherwise = ~Q(mapping_version__in=current_versions(fields))
    since = CopyOrigin.objects.values_list("fields_changed_at", flat=True).first()
    if since is None:
        return made_otherwise
    # Read in the future: the clock was set back, and nothing tells when it was.
    return made_otherwise | Q(synced_at__lt=since) | Q(synced_at__gt=Now())
