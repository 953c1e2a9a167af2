"""Adding a text column, a quantity of the line and a many2one takes four places, and nothing else.

Played in a scratch copy of the repository: the table, the model, the migration, the French
catalogue (DEVELOPERS.md, «Add a field»). Slow, for it starts Python half a dozen times:
makemigrations, the catalogue's programs, and the tests of the copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "bc_consumer", "odoo_webhook", "odoo_simulator", "project", "tests", "tools", "docs",
    "manage.py", "pyproject.toml",
)  # fmt: skip
TABLE, MODELS = Path("bc_consumer/fields/table.py"), Path("bc_consumer/models/orders.py")
CATALOGUE = Path("bc_consumer/locale/fr/LC_MESSAGES/django.po")
PLAYED = Path("tests/db/test_added_fields.py")

ORDER_FIELDS = """\
    Field("incoterm_location", Kind.TEXT, label=_("delivery place")),
    Field(
        "incoterm_id",
        Kind.MANY2ONE,
        label=_("delivery terms"),
        id_label=_("delivery terms id"),
        model="account.incoterms",
    ),
"""
LINE_FIELD = '    Field("qty_to_invoice", Kind.QUANTITY, label=_("packages")),\n'
ORDER_COLUMNS = """\
    incoterm_location = models.TextField(
        _order("incoterm_location"), default="", db_default="", blank=True
    )
    incoterm_id = models.BigIntegerField(_order("incoterm_id"), null=True)
    incoterm_name = models.TextField(_order("incoterm_name"), default="", db_default="", blank=True)
"""
LINE_COLUMN = """\
    qty_to_invoice = ExactDecimalField(_line("qty_to_invoice"), null=True)
"""
FRENCH = {
    "delivery place": "lieu de livraison",
    "delivery terms": "conditions de livraison",
    "delivery terms id": "identifiant des conditions de livraison",
    "packages": "colis",
}
FOLLOWERS = (
    "tests/unit/test_fields.py", "tests/unit/test_mapping.py", "tests/unit/test_odoo_rules.py",
    "tests/unit/odoo/test_field_set.py", "tests/unit/odoo/test_rules.py",
    "tests/unit/odoo/test_listing.py::test_records_written_since_are_listed_with_their_names",
    "tests/db/test_fields_command.py",
    "tests/contract/test_choice.py::test_extra_fields_of_many_types_are_read_in_one_call[17-xmlrpc]",
)  # fmt: skip
"""Tests of the repository that know fields: they hold without a further word."""


def put_before(file: Path, marker: str, text: str, nth: int = 0) -> None:
    """Insert a text before the nth occurrence of a marker."""
    parts = file.read_text().split(marker)
    assert len(parts) > nth + 1, f"{file} has no {marker!r}"
    file.write_text(marker.join(parts[: nth + 1]) + text + marker + marker.join(parts[nth + 1 :]))


def run(home: Path, *words: str) -> str:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": str(home),
        "TEST_DATABASE": "sqlite",
    }
    environment.pop("TESTS_DIRECTORY", None)
    done = subprocess.run(
        words, cwd=home, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{said}"
    return said


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A copy of the repository."""
    if not (shutil.which("msgfmt") and shutil.which("xgettext")):
        pytest.skip("gettext's programs are missing: apt-get install gettext")
    home = tmp_path / "repository"
    home.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, home / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, home / name)
    python = Path(sys.executable)
    (home / ".venv").symlink_to(python.parents[1])
    return home


@pytest.mark.timeout(400)
def test_four_places_and_nothing_else(scratch: Path) -> None:
    # The table.
    put_before(scratch / TABLE, "    *_dates(),\n", ORDER_FIELDS)
    put_before(scratch / TABLE, "    *_dates(),\n", LINE_FIELD, nth=1)
    # The model.
    put_before(scratch / MODELS, "\n    synced_at = ", ORDER_COLUMNS)
    marker = '\n    class Meta:\n        verbose_name = _("line")'
    put_before(scratch / MODELS, marker, LINE_COLUMN)
    # The migration.
    run(scratch, sys.executable, "-m", "django", "makemigrations", "bc_consumer", "-n", "more")
    # The French catalogue.
    with (scratch / CATALOGUE).open("a") as catalogue:
        for english, french in FRENCH.items():
            catalogue.write(f'\nmsgid "{english}"\nmsgstr "{french}"\n')
    run(scratch, "tools/messages")
    # Nothing else.
    shutil.copy2(ROOT / "tests/flow/added_fields.py", scratch / PLAYED)
    arguments = ("-q", "-p", "no:cacheprovider", "--no-header")
    said = run(scratch, sys.executable, "-m", "pytest", *arguments, str(PLAYED), *FOLLOWERS)
    assert " passed" in said
    assert (
        "| lieu de livraison (`incoterm_location`) |" in (scratch / "docs/metier.fr.md").read_text()
    )
    assert "`qty_to_invoice`" in (scratch / "docs/rules-by-hand.md").read_text()
