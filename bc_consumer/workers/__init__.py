"""Processes and their threads: what runs in a worker and in the scheduler.

May be imported by commands alone; dramatiq gets ``middleware`` by its name. Start with ``timer``,
which finds due orders without any message; ``sweeper`` makes good what RabbitMQ lost.
"""
