"""What ./start keeps in its data directory besides the databases.

These are its secrets, its lock, and, while it runs, the simulator's settings.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from dotenv import dotenv_values

SECRETS_FILE = "secrets"
LOCK_FILE = "lock"
SIMULATOR_FILE = "simulator.env"
SECRET_BYTES = {"SECRET_KEY": 50, "ODOO_WEBHOOK_SECRETS": 24, "DJANGO_SUPERUSER_PASSWORD": 12}


class AlreadyRunningError(Exception):
    """Another process uses this data directory; the message says which."""


def load_secrets(directory: Path) -> dict[str, str]:
    """Return this installation's secrets, generated at its first start (file mode 600)."""
    path = directory / SECRETS_FILE
    # As project/settings.py reads this file; without one there is nothing in it.
    known = {name: value for name, value in dotenv_values(path).items() if value is not None}
    missing = {
        name: secrets.token_urlsafe(size)
        for name, size in SECRET_BYTES.items()
        if name not in known
    }
    if missing:
        known |= missing
        _write_privately(path, "".join(f"{name}={value}\n" for name, value in known.items()))
    return known


@contextmanager
def simulator_settings_file(directory: Path, simulator: Mapping[str, str]) -> Iterator[None]:
    """Write the simulator's settings to a file where commands find them, while the simulator runs.

    Only this process knows the simulator's port: without the file ``manage.py doctor`` could only
    report that no Odoo is set. The file of a killed process names a port where nothing answers.
    """
    path = directory / SIMULATOR_FILE
    path.unlink(missing_ok=True)
    if simulator:
        _write_privately(path, "".join(f"{name}={value}\n" for name, value in simulator.items()))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _write_privately(path: Path, text: str) -> None:
    """Replace the file atomically: a killed start leaves either the old or the new contents."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def lock(directory: Path) -> TextIO:
    """Lock the directory until this process ends, however it ends; keep the returned file open.

    Raises:
        AlreadyRunningError: another process holds the lock.
    """
    file = (directory / LOCK_FILE).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        raise AlreadyRunningError(
            f"Another ./start (process {file.read().strip() or 'unknown'}) is using {directory}. "
            "Stop that one first, or give this one a DATA_DIR of its own."
        ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
