"""What ./start says when it is ready, of a database that is not in its own directory."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.db import connection

from project.embedded.run import Embedded

pytestmark = pytest.mark.django_db


def test_it_says_where_the_copy_is(monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> None:
    monkeypatch.setenv("PORT", "8000")
    monkeypatch.setenv("HOST", "127.0.0.1")
    settings.PUBLIC_URL = "http://copy.example.com"
    said = Embedded(with_simulator=False)._welcome("password")
    [data] = [line for line in said.splitlines() if line.strip().startswith("Data ")]
    if connection.vendor == "sqlite":
        assert data.endswith(f" {settings.DATA_DIR}")
    else:
        assert f"PostgreSQL, database {connection.settings_dict['NAME']} on " in data
        assert str(settings.DATA_DIR) not in data
    assert "odoo_rules install --login admin --password-from-env ADMIN" in said
