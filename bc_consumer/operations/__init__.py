"""What operators are told, and upkeep that runs by itself.

Refresh and all rooms above may import it. Start with ``alerts``. A replay works on
``failed_orders`` and ``dead_letters``; ``heartbeats`` records which processes are alive.
"""
