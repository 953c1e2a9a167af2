"""The actors and threads of worker and scheduler processes.

Commands, the embedded project and the root's ``actors`` may import it; dramatiq loads
``dramatiq_middleware`` by its name. Start with ``actors``; ``timer`` finds due orders without a
message, ``periodic_sweep`` moves stored events to the ledger, ``due_runs`` does what is due,
``action_runner`` what operators ask for.
"""
