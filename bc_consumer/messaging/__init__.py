"""Stores incoming events, and publishes wake-ups and applied changes to RabbitMQ.

Every room above may import it. Start with ``intake``: it writes a webhook's marks to the ledger or,
while PostgreSQL is away (``ledger.database_gate``), has ``publisher`` put them on a queue.
"""
