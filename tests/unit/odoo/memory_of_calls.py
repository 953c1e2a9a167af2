"""Run as a program: four calls at once, whose answers are kept; prints what became of them.

Arguments: the server's address, and the transport. Prints JSON: outcomes, and the most memory that
this process has had, in MiB, before and after.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from bc_consumer.odoo import Odoo, OdooError, OdooSettings

CALLS = 4


def peak() -> float:
    # Not ru_maxrss: that is inherited from whoever started this program (measured on Linux 5.10).
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main(url: str, transport: str) -> None:
    settings = OdooSettings(url, "shop", "admin", "s3cret-api-key", transport=transport)
    odoo = Odoo(settings, stop=threading.Event())
    all_done = threading.Barrier(CALLS)
    outcomes: list[str] = []

    def call() -> None:
        try:
            value = odoo.call("purchase.order", "search", [[]])
            outcomes.append(f"{type(value).__name__} of {len(value)}")
        except OdooError as error:
            value = None
            outcomes.append(f"{type(error).__name__}: {str(error)[:200]}")
        all_done.wait()
        del value

    before = peak()
    threads = [threading.Thread(target=call) for _ in range(CALLS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"outcomes": outcomes, "before": before, "peak": peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
