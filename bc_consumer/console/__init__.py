"""What people and machines look at: pages, administration, health checks, figures.

Doctor, commands, the web process and the root's ``admin`` and ``urls`` may import it. Start with
``views``, or with ``health`` for machines. Both read ``counts``; ``formatting`` and ``labels`` turn
values into text.
"""
