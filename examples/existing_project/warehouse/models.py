"""What this application keeps of orders."""

from django.db import models


class Notice(models.Model):
    """A change that the signal told of."""

    odoo_id = models.BigIntegerField()
    outcome = models.TextField()
    cause = models.TextField()
    version = models.BigIntegerField()

    def __str__(self) -> str:
        return f"#{self.odoo_id} {self.outcome}"


class Expected(models.Model):
    """An order whose goods are expected; as of ``version``."""

    odoo_id = models.BigIntegerField(unique=True)
    supplier = models.TextField()
    version = models.BigIntegerField()

    def __str__(self) -> str:
        return f"#{self.odoo_id}"


class Position(models.Model):
    """One row: how far this application has read the copy."""

    version = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.version)
