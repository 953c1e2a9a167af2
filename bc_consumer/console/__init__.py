"""What people and machines look at: pages, administration, health checks, figures.

Doctor, commands, the web process and the root's ``admin`` and ``urls`` may import it. Start with
``today``, the first page, or with ``health`` for machines. Both read ``counts``; ``verdict`` sums
up what the first page says. ``formatting`` and ``labels`` turn values into text.
"""
