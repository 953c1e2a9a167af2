"""The endpoint that Odoo's automation rules call, and the server of the site.

Only the project may import it. Start with ``site_server``, which ``manage.py web`` serves: it reads
a request's body. ``fast_path`` then takes in what Odoo's rules send, and ``views`` all else; both:
authenticate → parse (``webhook_request``) → mark → 202.
"""
