"""What all database tests share."""

import pytest

from bc_consumer import admin_filters, queries


@pytest.fixture(autouse=True)
def _figures_are_fresh() -> None:
    """Figures may be a moment old; a test's are not the previous test's."""
    for paced in (queries.copy_figures, queries.ledger_figures, admin_filters.companies):
        paced.forget()
