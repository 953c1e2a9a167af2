"""The actors and threads of worker and scheduler processes.

Commands, the embedded project and the root's ``actors`` may import it; dramatiq loads
``dramatiq_middleware`` by its name. Start with ``actors``; ``timer`` finds due orders without a
message, ``queue_sweeper`` moves stored events to the ledger, ``scheduler`` does what is due,
``action_runner`` what operators ask for.
"""
