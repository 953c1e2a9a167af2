"""Real servers for tests: PostgreSQL, RabbitMQ, and a network that misbehaves on command.

A test run starts what it needs as private instances on free ports, with data in a directory of its
own, and removes them at its end. In order of preference it uses the server that
``TEST_DATABASE_URL`` or ``TEST_RABBITMQ_URL`` names, one kept running by ``python -m tests.services
up``, a Docker engine, or the operating system's packages. A system instance that happens to run is
never touched.
"""
