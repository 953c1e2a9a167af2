"""Commands of ``manage.py``, and how they read on a terminal.

May be imported by Django alone. Start with ``commands/sync_BcLinbc.py``. The modules ``…_text``
word what commands print, ``exits`` has exit codes, ``foreground`` ends them in order on Ctrl-C.
"""
