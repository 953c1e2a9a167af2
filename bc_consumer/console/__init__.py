"""What people and machines look at: pages, administration, health, figures.

May be imported by doctor, commands and the web process. Start with ``views``, or with ``health``
for machines; ``figures`` is what both read; ``formatting`` and ``labels`` are how values read.
"""
