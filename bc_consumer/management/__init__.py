"""The commands of ``manage.py``, and what they print.

Only Django may import this room. Start with ``commands/replay.py``, a complete command.
``command`` has what the commands share; ``sync_text`` and ``rules_text`` hold the words of two.
"""
