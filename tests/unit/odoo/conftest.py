"""What the tests of the gateway share."""

from collections.abc import Iterator

import pytest

from odoo_simulator import Simulator


@pytest.fixture(params=(17, 18, 19))
def each_version(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    """One stand-in of each version."""
    with Simulator(version=request.param) as started:
        yield started
