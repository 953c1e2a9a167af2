"""The one table of the fields that are copied: names in Odoo, columns, kinds, labels, what follows.

Knows nothing of Django. May be imported by every room but core; imports none. Start with ``table``:
whoever adds a field adds it there, and DEVELOPERS.md says what else. ``kinds`` says what a value
is, ``field`` what is told of each field, ``columns`` finds a field by a column of the copy.
"""
