"""Expose the actors of ``workers.actors`` where dramatiq looks for them."""

from bc_consumer.workers.actors import reconcile_nightly, refresh_bc

__all__ = ["reconcile_nightly", "refresh_bc"]
