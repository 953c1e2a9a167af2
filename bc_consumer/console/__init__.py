"""What people and machines look at: pages, administration, health checks, figures.

Doctor, commands and the web process may import it. Start with ``views``, or with ``health`` for
machines. Both read ``figures``; ``formatting`` and ``labels`` turn values into text.
"""
