"""Installs the automation rules in the Odoo of ODOO_E2E_URL, runs the contract suite, removes them.

    python -m tools.odoo.contract [arguments for pytest]

Meanwhile a site of our own (SQLite, in a temporary directory) runs, so that the rules have a
receiver. Exit code 0: the rules were installed correctly, every check passed, and nothing is left.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from typing import cast
from urllib.parse import urlsplit

MANAGE = (sys.executable, "manage.py")
KEY_NAME = "ODOO_E2E_API_KEY"
KEY_PARAMETER = "bc_contract.api_key"  # where api_key.py stores it
PATIENCE = 60.0  # seconds for the site to answer


def main(arguments: Sequence[str]) -> int:
    """Do all steps and return the first failure's exit code; the rules are removed in any case."""
    host, port = _own_address(), _free_port()
    key = os.environ.get(KEY_NAME) or _key_of_the_database()
    with tempfile.TemporaryDirectory() as data:
        environment = _environment(data, f"http://{host}:{port}")
        if _run([*MANAGE, "migrate", "--no-input", "--verbosity=0"], environment):
            return 1
        with _site(port, environment):
            codes = [
                _run([*MANAGE, "odoo_rules", "install"], environment),
                _run([*MANAGE, "odoo_rules", "status"], environment),
                _run(_pytest(arguments), {**environment, **_for_the_suite(host, key)}),
                _run([*MANAGE, "odoo_rules", "remove"], environment),
            ]
    return next((code for code in codes if code), 0)


def _environment(data: str, public_url: str) -> dict[str, str]:
    """Return the settings for site and commands, taking nothing from files."""
    given = os.environ
    return {
        **{name: given[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in given},
        "ENV_FILE": os.devnull,
        "DATA_DIR": data,
        "PYTHONDONTWRITEBYTECODE": "1",
        "SECRET_KEY": secrets.token_urlsafe(40),
        "ALLOWED_HOSTS": "*",
        "WEB_PROCESSES": "1",
        "LOG_LEVEL": "WARNING",
        "PUBLIC_URL": public_url,
        "ODOO_URL": given["ODOO_E2E_URL"],
        "ODOO_DATABASE": given["ODOO_E2E_DB"],
        "ODOO_LOGIN": given["ODOO_E2E_USER"],
        "ODOO_PASSWORD": given["ODOO_E2E_PASSWORD"],
        "ODOO_TRANSPORT": "auto",
        "ODOO_RULES_NAME": f"bc-contract-{secrets.token_hex(4)}",
        "ODOO_WEBHOOK_SECRETS": secrets.token_urlsafe(24),
    }


def _for_the_suite(host: str, key: str) -> dict[str, str]:
    names = {name: value for name, value in os.environ.items() if name.startswith("ODOO_E2E_")}
    names.setdefault("ODOO_E2E_RECEIVER_HOST", host)
    return names | ({KEY_NAME: key} if key else {})


def _pytest(arguments: Sequence[str]) -> list[str]:
    """Return the command that runs the suite on the real Odoo only."""
    words = [sys.executable, "-m", "pytest", "tests/contract", "-p", "no:cacheprovider"]
    return [*words, *(arguments or ("-k", "real"))]


@contextlib.contextmanager
def _site(port: int, environment: Mapping[str, str]) -> Iterator[None]:
    """Serve the webhook during the block. Raises TimeoutError if it does not answer."""
    words = [*MANAGE, "web", "--host=0.0.0.0", f"--port={port}"]
    process = subprocess.Popen(words, env=dict(environment))
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz")
        yield
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 (our own)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the site does not answer at {url}") from None
            time.sleep(0.2)


def _own_address() -> str:
    """Return our address on the route to Odoo, which is how Odoo sees us."""
    odoo = urlsplit(os.environ["ODOO_E2E_URL"])
    with socket.create_connection((str(odoo.hostname), odoo.port or 80), timeout=10) as connection:
        return str(connection.getsockname()[0])


def _free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])


def _key_of_the_database() -> str:
    """Return the key stored by api_key.py; "" if there is none."""
    names = ("ODOO_E2E_URL", "ODOO_E2E_DB", "ODOO_E2E_USER", "ODOO_E2E_PASSWORD")
    url, database, login, password = [os.environ[name] for name in names]
    try:
        uid = xmlrpc.client.ServerProxy(f"{url}/xmlrpc/2/common").authenticate(
            database, login, password, {}
        )
        found = xmlrpc.client.ServerProxy(f"{url}/xmlrpc/2/object").execute_kw(
            database, uid, password, "ir.config_parameter", "get_param", [KEY_PARAMETER]
        )
    except xmlrpc.client.Error:
        return ""
    return cast("str", found or "")


def _run(words: Sequence[str], environment: Mapping[str, str]) -> int:
    print("+", " ".join(words[1:]), flush=True)
    return subprocess.run(words, env=dict(environment), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
