"""The same checks against each simulated version, and against a real Odoo if there is one.

Each by every transport: «17-xmlrpc», «19-json2», «real-jsonrpc».
"""

from collections.abc import Iterator

import pytest

from tests.contract.target import REAL, Target, open_real, simulated

PLACES = [
    *(f"{version}-{name}" for version in (16, 17, 18, 19) for name in ("xmlrpc", "jsonrpc")),
    "19-json2",
    *(f"real-{name}" for name in ("xmlrpc", "jsonrpc", "json2") if REAL),
]


@pytest.fixture(scope="module", params=PLACES)
def server(request: pytest.FixtureRequest) -> Iterator[Target]:
    """One Odoo for a file of checks, by one transport."""
    version, _, transport = request.param.partition("-")
    target = open_real(transport) if version == "real" else simulated(int(version), transport)
    yield target
    target.close()


@pytest.fixture
def target(server: Target) -> Iterator[Target]:
    """The Odoo, with nothing of ours left in it afterwards."""
    yield server
    server.clean_up()
