"""A copy of Odoo's purchase (or sale) orders, kept complete. docs/walks.md shows the way in."""
