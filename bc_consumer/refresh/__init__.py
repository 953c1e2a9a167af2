"""Brings orders up to date: claim → fetch → map → write → settle.

May be imported by reconciliation, workers, console, doctor and management. Start with ``batch``:
everybody who has a reason to think that work is due calls its ``work_off``. ``writer`` writes the
copy, in one transaction; ``error_policy`` decides what is done about each error.
"""
