"""The system check of ODOO_TRANSPORT."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from bc_consumer.installation.setting_checks import check_settings

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("transport", "password", "admin_password", "named"),
    [
        ("json2", KEY, "", []),
        ("json2", KEY, KEY, []),
        ("json2", "", "", []),
        ("json2", "a password", "", ["ODOO_PASSWORD"]),
        ("json2", KEY, "a password", ["ODOO_ADMIN_PASSWORD"]),
        ("auto", "a password", "a password", []),
        ("xmlrpc", "a password", "", []),
    ],
)
def test_json_2_needs_what_looks_like_a_key(
    settings: LazySettings, transport: str, password: str, admin_password: str, named: list[str]
) -> None:
    settings.ODOO_TRANSPORT = transport
    settings.ODOO_PASSWORD, settings.ODOO_ADMIN_PASSWORD = password, admin_password
    found = [message.msg for message in check_settings() if message.id == "bc.W007"]
    assert len(found) == len(named)
    for text, name in zip(found, named, strict=True):
        assert f" {name} " in text
        assert "a password" not in text
