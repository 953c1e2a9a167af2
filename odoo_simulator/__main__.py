"""Runs a simulated Odoo as a process of its own: ``python -m odoo_simulator``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence

from odoo_simulator.model_fields import VERSIONS
from odoo_simulator.order_kinds import ORDER_MODELS
from odoo_simulator.simulator import TIMINGS, Simulator
from odoo_simulator.traffic import Traffic


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("odoo_simulator", description=__doc__)
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=8069)
    made.add_argument("--order-model", default=ORDER_MODELS[0], choices=ORDER_MODELS)
    made.add_argument("--version", type=int, default=17, choices=VERSIONS)
    made.add_argument("--timing", choices=TIMINGS, help="of webhooks; default: as in this version")
    made.add_argument("--database", default="odoo")
    made.add_argument("--login", default="admin")
    made.add_argument("--password", default=os.environ.get("ODOO_SIMULATOR_PASSWORD", "admin"))
    made.add_argument("--api-key", action="append", default=[], help="also accepted as a password")
    made.add_argument("--data", help="a file that keeps the data between starts")
    made.add_argument("--orders", type=int, default=0, help="create this many if there are none")
    made.add_argument("--lines", type=int, default=5)
    made.add_argument("--bulk", type=int, default=0, help="create this many plain orders in bulk")
    made.add_argument("--bulk-days", type=float, default=365.0, help="over which these are spread")
    made.add_argument("--webhook-url", help="set up the four rules that call it")
    made.add_argument("--traffic", type=float, default=0.0, help="changes per second")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--keep-alive", action="store_true", help="as behind a proxy")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Returns 2 for wrong arguments or another version's data file."""
    options = parser().parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        simulator = _simulator(options)
        traffic = Traffic(simulator, options.seed)
        # Prepared before the first caller can look.
        _prepare(simulator, traffic, options)
        simulator.start()
    except (OSError, ValueError) as error:
        print(f"odoo_simulator: {error}", file=sys.stderr)
        return 2
    print(
        f"Odoo {simulator.version} simulator on {simulator.url}, database {simulator.database!r}, "
        f"{simulator.count()} orders; control {simulator.control_url}/simulator/control",
        flush=True,
    )
    if options.traffic > 0:
        threading.Thread(target=traffic.run, args=(options.traffic,), daemon=True).start()
    ended.wait()
    traffic.stop()
    simulator.stop()
    return 0


def _simulator(options: argparse.Namespace) -> Simulator:
    return Simulator(
        options.version,
        options.timing,
        database=options.database,
        login=options.login,
        password=options.password,
        port=options.port,
        data_file=options.data,
        keep_alive=options.keep_alive,
        api_keys=tuple(options.api_key),
        host=options.host,
        order_model=options.order_model,
    )


def _prepare(simulator: Simulator, traffic: Traffic, options: argparse.Namespace) -> None:
    empty = simulator.count() == 0
    # Installed anew at each start, because the secret or the port may have changed.
    simulator.remove_rules()
    if empty and options.orders:
        traffic.create_orders(options.orders, options.lines)
    if empty and options.bulk:
        simulator.bulk_create(options.bulk, options.lines, options.bulk_days, options.seed)
    if options.webhook_url:
        simulator.install_rules(options.webhook_url)


if __name__ == "__main__":
    sys.exit(main())
