"""A simulated Odoo 16, 17, 18 or 19: real HTTP, real XML-RPC, real webhooks, faults on command.

    with Simulator(version=18) as odoo:
        odoo.install_rules("http://127.0.0.1:8000/odoo/webhook/", secret="...")
        order = odoo.create_order(partner_id=2, lines=[{"product_id": 1, "product_qty": 3}])
        odoo.faults.http_status(502)

It behaves as Odoo Community 16.0 to 19.0 were measured to behave; `python -m odoo_simulator`
runs one as a process of its own, and `RemoteSimulator` drives it from another.
"""

from __future__ import annotations

from odoo_simulator.call_log import Call
from odoo_simulator.control_client import RemoteSimulator
from odoo_simulator.errors import SerializationFailure
from odoo_simulator.faults import Faults
from odoo_simulator.simulator import SimulatedTransaction, Simulator
from odoo_simulator.webhooks import Delivery

__all__ = [
    "Call",
    "Delivery",
    "Faults",
    "RemoteSimulator",
    "SerializationFailure",
    "SimulatedTransaction",
    "Simulator",
]
