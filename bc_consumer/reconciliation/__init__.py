"""Completes the copy, every morning and by polling: find what differs, mark it, drain, move on.

May be imported by workers and management. Start with ``run``: its phases are a table there;
``start`` and ``finish`` are its first and last page; ``window`` and ``period_digest`` find
what differs; ``schedule`` says when a run is due.
"""
