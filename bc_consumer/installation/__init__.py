"""What must be right before the service works: settings, user groups, rules in Odoo.

Reconciliation, workers, doctor, management, the webhook, ``apps`` and the project may import it.
Start with ``setting_checks``, which ``manage.py check`` runs, or with ``rule_setup``, which sets
Odoo up.
"""
