"""The same checks against each simulated version, and against a real Odoo if there is one."""

from collections.abc import Iterator

import pytest

from tests.contract.target import Target, real_settings, simulated

REAL = real_settings()


@pytest.fixture(scope="module", params=["17", "18", "19", *(["real"] if REAL else [])])
def server(request: pytest.FixtureRequest) -> Iterator[Target]:
    """One Odoo for a file of checks."""
    target = Target(REAL, None) if REAL and request.param == "real" else simulated(request.param)
    yield target
    target.close()


@pytest.fixture
def target(server: Target) -> Iterator[Target]:
    """The Odoo, with nothing of ours left in it afterwards."""
    yield server
    server.clean_up()
