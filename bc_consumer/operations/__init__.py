"""What operators are told, and the upkeep that runs by itself.

May be imported by refresh and all above. Start with ``alerts``; ``failed_orders`` and
``dead_letters`` are what a replay works on; ``heartbeats`` tell who is alive.
"""
