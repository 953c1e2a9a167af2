"""The one table of copied fields: their names in Odoo, columns, kinds and labels.

Independent of Django. Every room but core may import it; it imports none. Start with ``table``: a
new field is added there, and DEVELOPERS.md says where else. ``kinds`` says what a value is,
``field`` what is declared about a field, ``columns`` finds a field by its column in the copy.
"""
