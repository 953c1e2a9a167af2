"""Brings orders up to date: claim → fetch → map → write → settle.

Every room above may import it: reconciliation, console, installation, workers, doctor, management.
Start with ``batch``, whose ``work_off`` is called for whatever is due. ``writer`` writes the copy
in one transaction; ``error_policy`` decides what is done about each error.
"""
