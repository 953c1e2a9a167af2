"""The threads of worker and scheduler processes.

Only commands may import this package; dramatiq loads ``middleware`` by its name. Start with
``due_order_timer``, which finds due orders without a message; ``queue_sweeper`` moves stored events
to the ledger and sends lost messages again.
"""
