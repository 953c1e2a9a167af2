"""Checks whether everything that the copy needs is in order, and names the fix for what is not.

A check changes nothing, neither here nor in Odoo. Workers and management may import this room.
Start with ``diagnosis``, which runs the checks; each module ``…_checks`` has those of one subject,
and ``remedies`` has the fixes.
"""
