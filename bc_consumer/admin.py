"""Django finds the administration here; it is in the console."""

from bc_consumer.console import admin as admin  # noqa: PLC0414
