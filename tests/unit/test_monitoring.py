"""docs/monitoring.md, the alert rules and the dashboard name what ``/metrics`` has, and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bc_consumer.console.gauges import GAUGES
from bc_consumer.core.counters import Metric
from bc_consumer.models.metrics import COUNTED
from tests import documents

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROW = re.compile(r"^\| `(bc_[a-z_]+)` \| ([^|]+) \| ", re.MULTILINE)
METRICS = {metric.name: metric for metric in (*COUNTED, *GAUGES)}
SELECTOR = re.compile(r"\b(bc_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*")|(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z_][a-z0-9_]*)
    |(?P<range>\[\d+[smhd]\])|(?P<sign>[=!]~|[=!<>]=|[-+*/<>=(){},]))""",
    re.VERBOSE,
)
FUNCTIONS = {
    "absent", "deriv", "histogram_quantile", "increase", "max", "min", "min_over_time", "rate",
    "sum", "time",
}  # fmt: skip
KEYWORDS = {"and", "by", "on", "unless"}


def rules() -> list[dict[str, Any]]:
    text = (DOCS / "monitoring/alert-rules.yml").read_text()
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def dashboard() -> Any:
    return json.loads((DOCS / "monitoring/grafana.json").read_text())


def panel_expressions() -> Iterator[tuple[str, str]]:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"]


EXPRESSIONS = [*((rule["alert"], rule["expr"]) for rule in rules()), *panel_expressions()]


def family(name: str) -> Metric | None:
    """Return the metric that a series of this name belongs to; a histogram has three such names."""
    if name in METRICS:
        return None if METRICS[name].buckets else METRICS[name]
    base = METRICS.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return base if base is not None and base.buckets else None


def test_the_document_lists_every_metric_with_its_labels_and_no_other() -> None:
    told = ROW.findall(documents.page("monitoring.md"))
    assert len(told) == len(dict(told)), "a metric is listed twice"
    assert set(dict(told)) == set(METRICS)
    for name, cell in told:
        labels = {}
        for part in re.findall(r"`\w+`: [^;]+", cell):
            label, *values = re.findall(r"`(\w+)`", part)
            labels[label] = tuple(values)
        wanted = {label: set(values) for label, values in METRICS[name].labels.items()}
        assert {label: set(values) for label, values in labels.items()} == wanted, name


@pytest.mark.parametrize("path", documents.everywhere(), ids=documents.place)
def test_documents_name_metrics_that_there_are(path: Path) -> None:
    """What else begins with ``bc_`` is a name in the code: a column, a figure, a signal."""
    for span in documents.spans(path.read_text(encoding="utf-8")):
        found = re.fullmatch(r"(bc_[a-z_]+)(\{.*\})?", span)
        if found and not found[1].startswith("bc_consumer"):
            name = found[1]
            known = family(name) or name in METRICS or name in documents.words_of_the_code()
            assert known, f"there is no metric {name}"


def test_gauges_have_prometheus_s_names_and_a_sentence_of_help() -> None:
    for metric in GAUGES:
        assert re.fullmatch(r"bc_[a-z_]+", metric.name)
        assert not metric.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert metric.help.endswith(".")


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_each_expression_asks_for_what_is_there(where: str, expression: str) -> None:
    asked = SELECTOR.findall(expression)
    assert asked, where
    for name, matchers in asked:
        metric = family(name)
        assert metric is not None, f"{where}: there is no {name}"
        for label, _sign, value in MATCHER.findall(matchers):
            assert label in metric.labels, f"{where}: {name} has no label {label}"
            unknown = set(value.split("|")) - set(metric.labels[label])
            assert not unknown, f"{where}: {name} has no {label} {unknown}"
    for label in re.findall(r"by \(([^)]*)\)", expression):
        known = {"le"}.union(*(one.labels for name, _ in asked if (one := family(name))))
        assert set(label.split(", ")) <= known, where


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_each_expression_reads_as_promql(where: str, expression: str) -> None:
    place, open_signs, names = 0, [], []
    while place < len(expression):
        token = TOKEN.match(expression, place)
        assert token is not None, f"{where}: at {expression[place:]!r}"
        if token["name"]:
            names.append((token["name"], token.end()))
        if token["sign"] in {"(", "{"}:
            open_signs.append(token["sign"])
        elif token["sign"] in {")", "}"}:
            assert open_signs.pop() + token["sign"] in {"()", "{}"}, where
        place = token.end()
    assert not open_signs, where
    for name, end in names:
        follows = expression[end:].lstrip()
        if follows.startswith("(") or re.match(r"by \(", follows):
            assert name in FUNCTIONS | KEYWORDS, f"{where}: {name} is no function"
    ranged = re.findall(r"\b(rate|increase|deriv|min_over_time)\(([^()]*)\)", expression)
    assert all(re.search(r"\[\d+[smhd]\]$", inner) for _name, inner in ranged), where


def test_counters_are_asked_for_their_rate_and_gauges_for_their_value() -> None:
    for where, expression in EXPRESSIONS:
        for name, _matchers in SELECTOR.findall(expression):
            counts = METRICS.get(name) in COUNTED or name not in METRICS
            rated = re.search(rf"\b(rate|increase)\({name}\b", expression) is not None
            assert counts == rated, f"{where}: {name}"


def test_every_rule_says_what_is_wrong_and_how_bad_it_is() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]


def test_the_dashboard_shows_every_metric() -> None:
    shown = {
        metric.name
        for _where, expression in panel_expressions()
        for name, _matchers in SELECTOR.findall(expression)
        if (metric := family(name))
    }
    assert shown >= set(METRICS) - {"bc_last_run_end_timestamp_seconds"}
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)
