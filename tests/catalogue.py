"""Lets a test say what the French catalogue says, whatever it does say."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils.translation import trans_real

Translate = Callable[..., None]


@pytest.fixture
def translate(monkeypatch: pytest.MonkeyPatch) -> Translate:
    """Translate an English sentence, or with two translations a counted one, into French."""
    catalogue: Any = trans_real.translation("fr")

    def translated(msgid: str, *french: str) -> None:
        first = catalogue._catalog._catalogs[0]
        if len(french) == 1:
            monkeypatch.setitem(first, msgid, french[0])
        for number, plural in enumerate(french if len(french) > 1 else ()):
            monkeypatch.setitem(first, (msgid, number), plural)

    return translated
