"""Tries to break the copy: python -m tests.chaos --seed 7 --operations 5000 --faults 100.

Prints its seed, what it did, and what was not as promised; exit code 1 if anything was not.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from tests.chaos.plan import COMMITTED, EARLY, FAULTS, KILLS, make_plan
from tests.chaos.report import report
from tests.chaos.runner import play
from tests.chaos.scene import scene
from tests.services.session import Services


def main() -> int:
    """Play one plan."""
    options = make_parser().parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    kinds = KILLS if options.kills else options.only or tuple(FAULTS)
    plan = make_plan(seed, options.operations, options.faults, kinds=kinds, timings=options.timings)
    print(f"seed {seed}, {options.operations} operations, {options.faults} faults", flush=True)
    services = Services(ignore_kept=True)
    directory = options.logs or services.directory / "chaos"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        postgres, rabbitmq = services.start_postgres_with_own_clock(), services.start_rabbitmq()
        with scene(
            seed, directory, postgres, rabbitmq, services.reaper, poll_seconds=options.poll
        ) as everything:
            played = play(plan, everything, options.rate, lambda text: print(text, flush=True))
            print(f"seed {seed}\n{report(played, everything)}")
    finally:
        services.close()
    return 0 if all(act.is_as_promised for act in played) else 1


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the options; docs/commands.md explains them."""
    parser = argparse.ArgumentParser("python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="default: a new one")
    parser.add_argument("--operations", type=int, default=5000)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--rate", type=float, default=12.0, help="operations a second")
    parser.add_argument("--only", nargs="+", choices=sorted(FAULTS), help="these faults alone")
    parser.add_argument("--kills", action="store_true", help="kill -9 alone")
    parser.add_argument(
        "--timings", nargs="+", choices=(EARLY, COMMITTED), default=(EARLY, COMMITTED)
    )
    parser.add_argument(
        "--poll", type=float, default=0.0, help="reconcile so often, in seconds, while it runs"
    )
    parser.add_argument("--logs", type=Path, help="keep the processes' logs in this directory")
    return parser


if __name__ == "__main__":
    sys.exit(main())
