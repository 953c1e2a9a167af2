"""Completes the copy, every morning and by polling: find what differs, mark it, drain, move on.

May be imported by workers and management. Start with ``run``, whose docstring has its phases as a
table; ``start`` and ``finish`` are its beginning and its end; ``recent_changes``, ``period_digest``
and ``scrub`` find what differs; ``schedule`` decides when a run is due.
"""
