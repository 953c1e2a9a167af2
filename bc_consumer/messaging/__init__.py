"""RabbitMQ in and out: the web process takes events in, wake-ups and changes go out.

May be imported by the rooms above the ledger. Start with ``intake``: a webhook's marks go through
it into the ledger or, while PostgreSQL is away (``database_gate``), by ``publisher`` into a queue.
"""
