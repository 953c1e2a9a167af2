"""What has to be right before the service works: settings, groups of users, rules in Odoo.

May be imported by reconciliation, workers, console, doctor and management. Start with
``system_checks``, which ``manage.py check`` runs, or with ``rules``, which sets Odoo up.
"""
