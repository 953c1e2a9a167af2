"""What must be right before the service works: settings, user groups, rules in Odoo.

Reconciliation, workers, console, doctor and management may import it. Start with ``system_checks``,
which ``manage.py check`` runs, or with ``rule_setup``, which sets Odoo up.
"""
