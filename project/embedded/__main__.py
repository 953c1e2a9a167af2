"""Prepares the environment, which Django reads during its set-up, and runs the product."""

import os
import sys
from pathlib import Path

from dotenv import load_dotenv

from project.embedded.data_directory import (
    AlreadyRunningError,
    load_secrets,
    lock,
    simulator_settings_file,
)
from project.embedded.ports import choose_port, is_free

ROOT = Path(__file__).resolve().parents[2]
SIMULATOR_LOGIN = {
    "ODOO_DATABASE": "odoo",
    "ODOO_LOGIN": "admin",
    "ODOO_PASSWORD": "admin",
    "ODOO_ADMIN_LOGIN": "",
}
LOCAL_HOSTS = "localhost,127.0.0.1,[::1]"
EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 (recognised, not bound)


class CannotStartError(Exception):
    """The start failed because of something that the user has to change; the message says what."""


def main() -> int:
    """Return the exit code: 0, or 2 if the user has to change something first."""
    os.chdir(ROOT)
    load_dotenv(os.environ.get("ENV_FILE") or ROOT / ".env")
    directory = Path(os.environ.get("DATA_DIR") or ROOT / "var")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        held = lock(directory)
        _check_port()
        simulator = {} if os.environ.get("ODOO_URL") else _simulator_settings()
        os.environ.update(_defaults(directory) | simulator)
    except (AlreadyRunningError, CannotStartError) as error:
        print(error, file=sys.stderr)
        return 2
    with held, simulator_settings_file(directory, simulator):
        return _run(bool(simulator))


def _run(with_simulator: bool) -> int:
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    import django
    from django.core.exceptions import ImproperlyConfigured

    from bc_consumer.core.redacted_text import redacted

    try:
        django.setup()
    except ImproperlyConfigured as error:
        print(redacted(f"A setting is wrong: {error}"), file=sys.stderr)
        return 2
    from project.embedded.run import Embedded
    from project.embedded.simulator import SimulatorFailedError

    try:
        return Embedded(with_simulator).run()
    except SimulatorFailedError as error:
        print(error, file=sys.stderr)
        return 1


def _check_port() -> None:
    text = os.environ.get("PORT") or "8000"
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise CannotStartError(f"PORT={text!r} is not a port number: choose one, e.g. PORT=8080.")
    if not is_free(os.environ.get("HOST") or "127.0.0.1", int(text)):
        raise CannotStartError(
            f"Port {text} is taken by another program. Choose another one: "
            f"PORT={int(text) + 1} ./start"
        )


def _defaults(directory: Path) -> dict[str, str]:
    """Return defaults for what environment and .env leave unset."""
    values = {
        "DATA_DIR": str(directory),
        "PORT": "8000",
        "HOST": "127.0.0.1",
        # Arrivals are printed, one line each; Django's and dramatiq's messages would drown them.
        "LOG_LEVEL": "WARNING",
        # The worker's statements run in the same process and must not be cut off.
        "PAGE_DATABASE_SECONDS": "0",
        **load_secrets(directory),
    }
    return {name: value for name, value in values.items() if not os.environ.get(name)}


def _simulator_settings() -> dict[str, str]:
    """Return the settings that connect us with the simulator, overriding the environment."""
    host = os.environ.get("HOST") or "127.0.0.1"
    host = "127.0.0.1" if host in EVERY_ADDRESS else host
    host = f"[{host}]" if ":" in host else host
    return SIMULATOR_LOGIN | {
        "ODOO_URL": f"http://127.0.0.1:{choose_port()}",
        "PUBLIC_URL": f"http://{host}:{os.environ.get('PORT') or '8000'}",
        # The simulator's webhooks must be let in even if ALLOWED_HOSTS names other hosts.
        "ALLOWED_HOSTS": f"{os.environ.get('ALLOWED_HOSTS') or LOCAL_HOSTS},{host}",
        # The simulator's orders are not confidential.
        "LIVE_PAGE_PUBLIC": os.environ.get("LIVE_PAGE_PUBLIC") or "1",
    }


if __name__ == "__main__":
    sys.exit(main())
