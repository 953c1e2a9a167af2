"""Checks of what our account may read: orders, lines, fields, names, companies, language."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from django.conf import settings

from bc_consumer.core.translatable import Message, joined, message_of
from bc_consumer.core.translatable import gettext as _
from bc_consumer.doctor.findings import Check, Finding, error, ok, warning
from bc_consumer.doctor.odoo_checks import ACCOUNT, guarded, odoo_trouble
from bc_consumer.odoo import NAMING_MODELS, NoRights, Odoo, OdooError, OdooRefused
from bc_consumer.operations import language_watch, missing_fields
from bc_consumer.refresh.odoo_connection import odoo_settings

LANGUAGE, COMPANIES, CHOICE, FIELDS = (
    "odoo.language", "odoo.companies", "odoo.choice", "odoo.fields",
)  # fmt: skip


def account_checks() -> list[Check]:
    """Return the checks of the account's access rights.

    Language, companies and domain come with every call about orders. So they are checked first, and
    what is wrong with one of them is told under its own heading alone.
    """
    rights = _Rights()
    chosen = (ACCOUNT, LANGUAGE, COMPANIES)
    return [
        Check(LANGUAGE, _("Language"), rights.language, needs=(ACCOUNT,)),
        Check(COMPANIES, _("Companies"), rights.companies, needs=(ACCOUNT,)),
        Check(CHOICE, _("Orders to copy"), rights.choice, needs=chosen),
        Check(FIELDS, _("Fields of orders"), rights.fields, needs=(*chosen, CHOICE)),
        Check("odoo.orders", _("Reading orders"), rights.orders, needs=(FIELDS,)),
        Check("odoo.names", _("Names of related records"), rights.names, needs=(ACCOUNT,)),
    ]


class _Rights:
    """The account's access rights; all checks share one gateway."""

    @cached_property
    def odoo(self) -> Odoo:
        """The gateway without the copy's own checks, which need the database."""
        return Odoo(odoo_settings())

    def choice(self) -> Iterator[Finding]:
        """Search for no order by the domain, which Odoo then reads all the same."""
        if not settings.ODOO_DOMAIN:
            yield ok(_("all that the account sees in these companies"))
            return
        try:
            self.odoo.ping()
        except OdooError as problem:
            # Language and companies are in order, so what has no class of its own is the domain.
            is_domain = type(problem) is OdooRefused
            fix = _("Correct ODOO_DOMAIN in the settings.")
            yield error(message_of(problem), fix) if is_domain else odoo_trouble(problem)
        else:
            yield ok(_("Odoo can search by ODOO_DOMAIN"))

    def fields(self) -> Iterator[Finding]:
        def look() -> Iterator[Finding]:
            fields, version = self.odoo.field_set(), self.odoo.version()
            later = fields.later_than(version.major)
            of_modules = fields.absent_of_modules()
            explained = {*later, *(name for names in of_modules.values() for name in names)}
            misspelt = sorted(set(fields.absent).intersection(fields.chosen))
            absent = [name for name in fields.absent if name not in explained.union(misspelt)]
            if misspelt:
                yield self._misspelt(misspelt)
            if absent:
                yield warning(
                    _(
                        "this Odoo has no %(names)s, or does not show it to the account",
                        names=", ".join(absent),
                    ),
                    _(
                        "The copy leaves them out. Give the account the rights of a user of the "
                        "app, or install the app that adds them."
                    ),
                )
            count = len(fields.order.present) + len(fields.line.present)
            if later:
                yield ok(
                    _(
                        "%(count)d exist; %(names)s came after Odoo %(version)s",
                        count=count,
                        names=", ".join(later),
                        version=version.text,
                    )
                )
            elif fields.absent:
                yield ok(_("%(count)d exist", count=count))
            else:
                yield ok(_("all %(count)d exist", count=count))
            for module, names in of_modules.items():
                yield ok(
                    _(
                        "%(names)s come with Odoo's app Inventory (module %(module)s), which is "
                        "not installed there: the copy leaves them out",
                        names=", ".join(names),
                        module=module,
                    )
                )

        return guarded(look)

    def _misspelt(self, names: list[str]) -> Finding:
        """Return what is wrong with fields that only the settings name."""
        return warning(
            _(
                "the settings name %(names)s, which this Odoo does not show to the account",
                names=", ".join(names),
            ),
            joined(
                " ",
                _(
                    "Correct ODOO_EXTRA_FIELDS or ODOO_EXTRA_LINE_FIELDS (manage.py odoo_fields "
                    "lists the existing fields)."
                ),
                *self._suggestions(names),
            ),
        )

    def _suggestions(self, misspelt: list[str]) -> list[Message]:
        """Suggest existing fields for those that the settings misspell."""
        near = [
            f"{name}: {', '.join(missing_fields.similar_fields(self.odoo, name))}?"
            for name in misspelt
        ]
        return [_("Is it %(name)s", name=one) for one in near if ": ?" not in one]

    def orders(self) -> Iterator[Finding]:
        """Read one order exactly as the copy will."""

        def look() -> Iterator[Finding]:
            ids = [one.id for one in self.odoo.listing.orders(since=None, after_id=0, limit=1)]
            if not ids:
                yield warning(
                    _("the account sees no order at all"),
                    _(
                        "If Odoo has some: give the account their company, and the right to see all"
                        " documents, not only its own; check ODOO_DATABASE and ODOO_DOMAIN."
                    ),
                )
                return
            fetched = self.odoo.fetch(ids)
            lines = sum(len(order.lines) for order in fetched.orders.values())
            yield ok(_("order %(id)d was read; its lines: %(lines)d", id=ids[0], lines=lines))

        return guarded(look)

    def names(self) -> Iterator[Finding]:
        hidden = [model for model in NAMING_MODELS if not self._may_read(model)]
        if hidden:
            yield warning(
                _("the account may not read %(models)s", models=", ".join(hidden)),
                _(
                    "If such a record is renamed, the copy shows its new name only once the "
                    "order changes. Give the account the right to read them."
                ),
            )
        else:
            yield ok(_("all may be read"))

    def _may_read(self, model: str) -> bool:
        try:
            self.odoo.call(model, "search", [[("id", "=", 0)]], {"limit": 1})
        except NoRights:
            return False
        except OdooError:
            return True  # an app that is not installed has no names to read
        return True

    def companies(self) -> Iterator[Finding]:
        def look() -> Iterator[Finding]:
            rows: list[dict[str, Any]] = self.odoo.call(
                "res.company", "search_read", [[]], {"fields": ["name"]}
            )
            seen = {row["id"]: str(row["name"]) for row in rows}
            missing = sorted(set(settings.ODOO_COMPANY_IDS) - set(seen))
            if missing:
                yield error(
                    _(
                        "ODOO_COMPANY_IDS names %(ids)s, which the account does not see",
                        ids=", ".join(map(str, missing)),
                    ),
                    _("Allow the account these companies in Odoo, or correct the setting."),
                )
            chosen = settings.ODOO_COMPANY_IDS or list(seen)
            names = [f"{seen[number]} ({number})" for number in chosen if number in seen]
            if not missing:
                yield ok(", ".join(names) or _("none"))

        return guarded(look)

    def language(self) -> Iterator[Finding]:
        def look() -> Iterator[Finding]:
            code, codes = settings.ODOO_LANGUAGE, self.odoo.languages()
            if code in codes:
                yield ok(_("%(code)s is active in Odoo", code=code))
                return
            yield error(
                _(
                    "Odoo's users have %(codes)s, not %(code)s: the copy's names would differ",
                    code=code,
                    codes=", ".join(codes),
                ),
                _(
                    "Set ODOO_LANGUAGE=%(fitting)s, or add the language in Odoo's settings.",
                    fitting=language_watch.fitting(self.odoo, codes),
                ),
            )

        return guarded(look)
