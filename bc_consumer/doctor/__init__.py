"""Looks whether everything that the copy needs is in order, check by check, and names the fix.

A check changes nothing, neither here nor in Odoo. May be imported by management alone. Start with
``diagnosis``, which runs the checks; each module ``…_checks`` has those of one subject, and
``remedies`` the fixes.
"""
