"""The two apps in another project: examples/existing_project, with the package installed.

Nothing of this repository but that package can be imported by its processes.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from odoo_simulator import Simulator
from tests.comparing import differences
from tests.harness import ROOT
from tests.package import build_wheel, install
from tests.services.owned import OwnedProcess, last_lines
from tests.services.postgres import Postgres
from tests.services.session import Services
from tests.services.waiting import free_port, wait_until

LINES = [{"name": "Desk", "product_qty": 2, "price_unit": 12.35}]
SECRET = "a-secret-of-this-test"
QUIET = {"ODOO_WEBHOOK_TIMING": "committed", "SYNC_NIGHTLY_AT": "never"}

pytestmark = pytest.mark.simulator(version=18, webhook_timing="committed")


class Shop:
    """The existing project: its directory, its environment, its processes."""

    def __init__(self, home: Path, services: Services, environment: dict[str, str]) -> None:
        self.home = home
        self.port = free_port()
        self.environment = environment
        self.python = sys.executable
        self._services = services
        self._processes: list[OwnedProcess] = []

    def manage(self, *words: str) -> str:
        """Run a command of its manage.py; return what it said."""
        done = subprocess.run(
            [self.python, "manage.py", *words],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def start(self, name: str, *words: str) -> None:
        """Start a process; it ends with the test."""
        self._processes.append(
            OwnedProcess(
                [sys.executable, "manage.py", *words],
                environment=self.environment,
                log=self.home / f"{name}.log",
                reaper=self._services.reaper,
                directory=self.home,
            )
        )

    def close(self) -> None:
        for process in self._processes:
            process.stop(8)

    def get(self, path: str) -> tuple[int, str]:
        """GET from its site; status 0 when it can't be reached."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        names = {"dbname": "DB_NAME", "user": "DB_USER", "password": "DB_PASSWORD"}
        names |= {"host": "DB_HOST", "port": "DB_PORT"}
        where: dict[str, Any] = {
            name: self.environment[variable] for name, variable in names.items()
        }
        connection = psycopg2.connect(**where)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(query, parameters or None)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def notices(self) -> list[tuple[Any, ...]]:
        return self.sql("SELECT odoo_id, outcome, cause FROM warehouse_notice ORDER BY version, id")

    def wait_for(self, wanted: list[tuple[Any, ...]]) -> None:
        """Wait until its receiver has noted exactly this."""
        logs = [process.log for process in self._processes]
        try:
            wait_until(lambda: self.notices() == wanted, 30, what=f"the receiver to note {wanted}")
        except AssertionError as error:
            tails = "\n".join(last_lines(log) for log in logs)
            raise AssertionError(f"{error}\nnoted: {self.notices()}\n{tails}") from error


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package, as pip would install it."""
    directory = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(directory)
    return directory


@pytest.fixture
def shop(
    installed: Path,
    tmp_path: Path,
    services: Services,
    postgres: Postgres,
    vhost_url: str,
    simulator: Simulator,
) -> Iterator[Shop]:
    home = tmp_path / "shop"
    shutil.copytree(
        ROOT / "examples" / "existing_project",
        home,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    database = postgres.create_database()
    where = postgres.address
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        # The project first: the program «dramatiq» does not put the current directory there.
        "PYTHONPATH": f"{home}:{installed}",
        "SECRET_KEY": "a key for tests alone, of more than fifty characters in all",
        "DB_NAME": database.name,
        "DB_USER": where.user,
        "DB_PASSWORD": where.password,
        "DB_HOST": where.host,
        "DB_PORT": str(where.port),
        "RABBITMQ_URL": vhost_url,
        "ODOO_URL": simulator.url,
        "ODOO_DATABASE": "odoo",
        "ODOO_LOGIN": "admin",
        "ODOO_PASSWORD": "admin",
        "ODOO_WEBHOOK_SECRETS": SECRET,
        **QUIET,
    }
    made = Shop(home, services, environment)
    made.manage("migrate", "--verbosity", "0")
    yield made
    made.close()
    postgres.drop_database(database.name)


def test_the_apps_fit_into_it(shop: Shop) -> None:
    import_it = (
        "import importlib.util as u; print(u.find_spec('project'), u.find_spec('bc_consumer'))"
    )
    found = subprocess.run(
        [sys.executable, "-c", import_it],
        cwd=shop.home,
        env=shop.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.startswith("None ModuleSpec"), "this must not test our own project"
    assert "no issues" in shop.manage("check", "--fail-level", "WARNING")
    assert "No changes detected" in shop.manage("makemigrations", "--check", "--dry-run")


def test_a_fresh_virtualenv_needs_the_wheel_alone(
    shop: Shop, wheel: Path, tmp_path: Path, simulator: Simulator
) -> None:
    """Migrate, check, and a run, with nothing that the wheel does not ask for."""
    shop.python = str(install(wheel, tmp_path / "venv"))
    shop.environment = {**shop.environment, "PYTHONPATH": "", "PATH": os.environ["PATH"]}
    where = shop.manage("shell", "-v", "0", "-c", "import bc_consumer as b; print(b.__file__)")
    assert str(tmp_path / "venv") in where
    assert "no issues" in shop.manage("check", "--fail-level", "WARNING")
    shop.manage("migrate", "bc_consumer", "zero", "--verbosity", "0")
    shop.manage("migrate", "--verbosity", "0")
    odoo_id = simulator.create_order(lines=LINES)
    shop.manage("sync_BcLinbc")
    assert differences(simulator, shop.sql) == []
    shop.wait_for([(odoo_id, "created", "command")])


def test_webhook_copy_receiver(shop: Shop, simulator: Simulator) -> None:
    shop.environment["LIVE_PAGE_PUBLIC"] = "1"
    shop.start("web", "web", "--host", "127.0.0.1", "--port", str(shop.port))
    shop.start("worker", "rundramatiq", "--processes", "1", "--threads", "2")
    wait_until(lambda: shop.get("/orders/healthz")[0] == 200, 30, what="the site")
    simulator.install_rules(f"http://odoo:{SECRET}@127.0.0.1:{shop.port}/hooks/webhook/")

    order_id = simulator.create_order(lines=LINES)
    shop.wait_for([(order_id, "created", "webhook")])
    assert differences(simulator, shop.sql) == []
    simulator.delete_order(order_id)
    shop.wait_for([(order_id, "created", "webhook"), (order_id, "archived", "webhook")])

    for page in ("/orders/", f"/orders/bc/{order_id}/"):
        status, text = shop.get(page)
        assert status == 200, page
        assert "P00" in text or str(order_id) in text


def test_a_run_by_hand_tells_too_and_the_exact_way_agrees(shop: Shop, simulator: Simulator) -> None:
    ids = [simulator.create_order(lines=LINES) for _ in range(3)]
    shop.manage("sync_BcLinbc")
    assert differences(simulator, shop.sql) == []
    shop.wait_for([(odoo_id, "created", "command") for odoo_id in ids])

    expected = "SELECT odoo_id, version FROM warehouse_expected ORDER BY version"
    assert "3 orders read" in shop.manage("follow_orders")
    assert shop.sql(expected) == [(ids[0], 1), (ids[1], 2), (ids[2], 3)]
    simulator.delete_order(ids[0])
    simulator.write_order(ids[1], partner_ref="B")
    shop.manage("sync_BcLinbc", "--full")
    assert "2 orders read" in shop.manage("follow_orders")
    assert [odoo_id for odoo_id, _ in shop.sql(expected)] == [ids[2], ids[1]]
    assert "0 orders read" in shop.manage("follow_orders")
