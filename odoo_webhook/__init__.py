"""The endpoint that Odoo's automation rules call, and the server of the site.

Only the project may import it. Start with ``views``: authenticate → parse → mark → 202.
``incoming`` reads a request; ``server`` is what ``manage.py web`` serves.
"""
