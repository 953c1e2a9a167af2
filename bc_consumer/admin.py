"""Expose the administration of ``console.admin`` where Django looks for it."""

from bc_consumer.console import admin as admin  # noqa: PLC0414
