"""Brings orders up to date: claim → fetch → map → write → settle.

May be imported by reconciliation, workers, console, doctor and management. Start with ``batch``:
``work_off`` is what everybody calls who has a reason to think that work is due. ``writer`` is the
one transaction that writes the copy; ``error_policy`` says what is done about each error.
"""
