"""Finds what people with a screen reader, a keyboard or weak eyes can't use on a page: axe-core.

https://github.com/dequelabs/axe-core; the version stands in package.json, ``./test`` installs it.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.browser.window import Window

AXE = Path(__file__).resolve().parents[2] / "var/npm/node_modules/axe-core/axe.min.js"
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """
const [standards, done] = arguments;
axe.run(document, {runOnly: {type: "tag", values: standards},
  resultTypes: ["violations"], preload: false})
  .then((found) => done(found.violations), (error) => done([{id: String(error), nodes: []}]));
"""


@cache
def _source() -> str:
    if not AXE.is_file():
        why = "axe-core is missing: ./test installs it by npm"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return AXE.read_text()


def violations(window: Window) -> list[str]:
    """Return what WCAG 2.2 AA forbids on the open page: rule, element, and what is wrong."""
    window.script(_source())
    window.driver.set_script_timeout(30)
    found: list[dict[str, Any]] = window.driver.execute_async_script(RUN, STANDARDS)
    return [
        f"{rule['id']}: {' '.join(node['target'])}: {node.get('failureSummary', '')}"
        for rule in found
        for node in rule["nodes"] or [{"target": ["?"]}]
    ]
