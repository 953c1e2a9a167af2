"""Completes the copy, every night and by polling: find what differs, mark it, drain, move on.

Workers and management may import it. Start with ``run``, whose docstring has its phases as
a table; ``schedule`` decides when a run is due; ``suspect_orders``, ``period_digest`` and ``scrub``
find what differs.
"""
