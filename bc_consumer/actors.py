"""Dramatiq finds its actors here; they are in the workers' room."""

from bc_consumer.workers.actors import reconcile_nightly, refresh_bc

__all__ = ["reconcile_nightly", "refresh_bc"]
