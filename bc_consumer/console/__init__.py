"""What people and machines look at: pages, administration, health checks, figures.

Doctor, commands, the webhook, the template tags and the root's ``admin``, ``urls`` and
``web_process`` may import it. Start with ``today``, the first page, or with ``health`` for
machines. Both read ``figures``; ``verdict`` sums up what the first page says. ``formatting`` and
``labels`` turn values into text.
"""
