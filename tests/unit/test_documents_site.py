"""tools/documents_site.py: links lead to the same thing in the repository and in the site."""

from __future__ import annotations

import re
from typing import Any, cast

import pytest
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tests.documents import ROOT
from tools import documents_site

NOTHING = cast("Any", None)


def page(uri: str) -> Page:
    file = File(uri, src_dir=None, dest_dir="site", use_directory_urls=False)
    return Page(None, file, MkDocsConfig())


@pytest.mark.parametrize(
    ("uri", "written", "turned"),
    [
        ("index.md", "docs/reading.md#sql", "reading.md#sql"),
        ("index.md", "docs/images/today.png", "images/today.png"),
        ("index.md", "CONTRIBUTING.md", "contributing.md"),
        ("index.md", "LICENSE", "shipped/LICENSE"),
        ("settings.md", "../DEVELOPERS.md#packages", "developers.md#packages"),
        ("settings.md", "operations/logs.md", "operations/logs.md"),
        ("operations/compose.md", "../../deploy/site.conf", "../shipped/deploy/site.conf"),
        ("operations/upgrading.md", "../../CHANGELOG.md", "../changelog.md"),
        ("performance.md", "../bench/README.md", "bench.md"),
        ("bench.md", "../DEVELOPERS.md", "developers.md"),
        ("settings.md", "https://example.com/docs/a.md", "https://example.com/docs/a.md"),
        ("settings.md", "#webhook", "#webhook"),
        ("settings.md", "../NOWHERE.md", "../NOWHERE.md"),
    ],
)
def test_a_link_is_turned(uri: str, written: str, turned: str) -> None:
    text = documents_site.on_page_markdown(
        f"See [this]({written}).", page=page(uri), config=NOTHING, files=Files([])
    )
    assert text == f"See [this]({turned})."


def test_a_link_to_a_folder_is_its_text_and_code_stays() -> None:
    markdown = "[it](../examples/existing_project)\n\n```\n[a](../README.md)\n```\n"
    text = documents_site.on_page_markdown(
        markdown, page=page("applications.md"), config=NOTHING, files=Files([])
    )
    assert text == "it\n\n```\n[a](../README.md)\n```\n"


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://unpkg.com/mermaid/mermaid.min.js"></script>',
        '<img alt="" src="//example.com/badge.svg">',
        '<link rel="stylesheet" href="https://fonts.example.com/css">',
        '<pre class="mermaid">flowchart LR</pre>',
    ],
)
def test_a_page_that_loads_something_from_elsewhere_is_refused(html: str) -> None:
    with pytest.raises(PluginError, match="from elsewhere"):
        documents_site.on_post_page(html, page=page("index.md"), config=NOTHING)


def test_links_to_elsewhere_and_own_pictures_are_no_harm() -> None:
    html = (
        '<a href="https://example.com">x</a><img src="images/today.png"><link rel="next" href="a">'
    )
    assert documents_site.on_post_page(html, page=page("index.md"), config=NOTHING) == html


def test_the_readme_stays_short_and_begins_with_what_it_looks_like() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 150
    assert re.match(r"# .+\n\n!\[.+\]\(docs/images/today\.png\)\n", text)
    assert text.index("## Reading the copy") < text.index("## Connecting")
