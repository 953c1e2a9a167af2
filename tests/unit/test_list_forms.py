"""Lists with checkboxes: the key Enter presses a form's first button, so that one does nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).resolve().parents[2] / "bc_consumer/templates/bc_consumer"
LISTS = [path for path in sorted(TEMPLATES.glob("*.html")) if "data-select-all" in path.read_text()]


def test_there_are_lists_to_select_from() -> None:
    assert len(LISTS) >= 3


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_the_first_button_of_a_list_asks_for_nothing(path: Path) -> None:
    form = path.read_text().partition("<form")[2].partition("</form>")[0]
    assert re.findall(r"<button[^>]*>", form)[0] == '<button hidden formmethod="dialog">'
