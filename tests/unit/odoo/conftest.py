"""What the tests of the gateway share."""

from collections.abc import Iterator

import pytest

from odoo_simulator import Simulator
from tests.unit.odoo.serving import WIRES, Wire


@pytest.fixture(params=(17, 18, 19))
def each_version(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """One simulator of each version."""
    with Simulator(version=request.param) as started:
        yield started


@pytest.fixture(params=WIRES, ids=lambda wire: wire.name)
def wire(request: pytest.FixtureRequest) -> Wire:
    """Each protocol of Odoo's services."""
    found: Wire = request.param
    return found
