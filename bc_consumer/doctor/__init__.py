"""Looks whether everything that the copy needs is in order, check by check, and names the fix.

``diagnosis.py`` runs the checks; each module ``…_checks.py`` has those of one subject. A check
changes nothing, neither here nor in Odoo.
"""
