"""What operators are told and ask for, and upkeep that runs by itself.

Refresh and all rooms above may import it. Start with ``alerts``, or, for what is asked for, with
``action_requests``. A replay works on ``failed_orders`` and ``dead_letters``; ``heartbeats``
records which processes are alive.
"""
