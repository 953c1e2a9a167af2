"""A copy of Odoo's purchase (or sale) orders, kept complete. docs/walks.md shows the way in."""

__version__ = "1.0.0"
"""As in pyproject.toml. Each process reports it, so that pages can tell of a half-done update."""
