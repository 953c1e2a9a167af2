"""Completes the site of mkdocs.yml, which names this file as a hook.

Some documents stand outside docs/, where GitHub and readers look for them: README.md and others.
They become pages of the site, and README.md its first one. Links are written as they work in the
repository, on GitHub or in an editor; here they are turned to where the same thing is in the site.
A file that a link leads to and that is no page (a configuration, say) comes along as it is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs/"
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "DEVELOPERS.md": "developers.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security-policy.md",
    "bench/README.md": "bench.md",
}
"""Documents outside docs/, by their path in the repository, and which page each is in the site."""
SHIPPED = "shipped/"
"""Where files that are no pages lie in the site."""
LINK = re.compile(r"\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)")
FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2 *$", re.DOTALL | re.MULTILINE)
FROM_ELSEWHERE = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|icon))"
    r"[^>]*\bhref=[\"']?(?:https?:)?//"
    r"|class=[\"']?mermaid",
    re.IGNORECASE,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside docs/, and the files that links lead to."""
    for path, uri in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text("utf-8")))
    shipped: set[str] = set()
    for file in files.documentation_pages():
        for target in _links(file.content_string):
            path = _repository_path(file.src_uri, target)
            if not _is_page_or_in_docs(path) and (ROOT / path).is_file():
                shipped.add(path)
    for path in sorted(shipped):
        file = File.generated(config, SHIPPED + path, abs_src_path=str(ROOT / path))
        files.append(file)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a page to where their targets are in the site."""
    del config, files
    return _outside_fences(
        markdown,
        lambda text: LINK.sub(lambda link: _turned(link, page.file.src_uri), text),
    )


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Refuse a page that a browser could not show without the network."""
    del config
    found = FROM_ELSEWHERE.search(output)
    if found:
        raise PluginError(
            f"{page.file.src_uri} loads something from elsewhere when it is read: {found[0]} …"
        )
    return output


def _links(markdown: str) -> list[str]:
    targets: list[str] = []

    def collect(text: str) -> str:
        targets.extend(link["target"] for link in LINK.finditer(text))
        return text

    _outside_fences(markdown, collect)
    return [target for target in targets if _is_relative(target)]


def _outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    parts: list[str] = []
    position = 0
    for fence in FENCE.finditer(markdown):
        parts += [change(markdown[position : fence.start()]), fence[0]]
        position = fence.end()
    return "".join([*parts, change(markdown[position:])])


def _turned(link: re.Match[str], uri: str) -> str:
    """Return the link as the page ``uri`` of the site needs it; unknown targets stay for MkDocs."""
    target = link["target"]
    if not _is_relative(target):
        return link[0]
    path = _repository_path(uri, target)
    if (ROOT / path).is_dir():
        return link["text"]
    if path in PAGES:
        place = PAGES[path]
    elif path.startswith(DOCS):
        place = path.removeprefix(DOCS)
    elif (ROOT / path).is_file():
        place = SHIPPED + path
    else:
        return link[0]
    fragment = urlsplit(target).fragment
    there = posixpath.relpath(place, posixpath.dirname(uri) or ".")
    return f"[{link['text']}]({there}{'#' + fragment if fragment else ''})"


def _is_relative(target: str) -> bool:
    parts = urlsplit(target)
    return not parts.scheme and not parts.netloc and bool(parts.path) and parts.path[0] != "/"


def _repository_path(uri: str, target: str) -> str:
    """Return the path in the repository to which the page ``uri`` of the site links."""
    outside = {page: path for path, page in PAGES.items()}
    here = outside.get(uri, DOCS + uri)
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), urlsplit(target).path))


def _is_page_or_in_docs(path: str) -> bool:
    return path in PAGES or path.startswith(DOCS)
