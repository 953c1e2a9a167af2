"""Real servers for tests: PostgreSQL, RabbitMQ, and a network that misbehaves on command.

A test run starts what it needs as private instances on free ports with data in a directory of
its own, and removes them at its end. It uses, in this order: the server that
``TEST_DATABASE_URL`` or ``TEST_RABBITMQ_URL`` names; one that ``python -m tests.services up`` keeps
running; a Docker engine; the operating system's own packages. A system instance that happens to
run is never touched.
"""
