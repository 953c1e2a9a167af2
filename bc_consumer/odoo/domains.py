"""Odoo's search domains in settings: checks them before Odoo sees them, and moves them to lines.

A domain is a list in prefix notation: terms ``[field, operator, value]``, preceded by "|", "&" or
"!", and joined by "&" where there is no operator. So two domains in a row must both match.
"""

import re
from collections.abc import Sequence
from typing import Any

from bc_consumer.core.translatable import gettext as _

Domain = tuple[Any, ...]

ORDER_OF_LINE = "order_id"  # the field of a line that holds its order, in every order model
OPERANDS = {"&": 2, "|": 2, "!": 1}
COMPARING = frozenset({"=", "!=", "<>", "==", "<", "<=", ">", ">=", "=?"})
MATCHING = frozenset({"like", "ilike", "not like", "not ilike", "=like", "=ilike"})
OF_LISTS = frozenset({"in", "not in"})
OF_TREES = frozenset({"child_of", "parent_of"})
OF_DOMAINS = frozenset({"any", "not any"})  # 17 and later
OPERATORS = COMPARING | MATCHING | OF_LISTS | OF_TREES | OF_DOMAINS
PATH = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")


class DomainError(ValueError):
    """The value is not a domain; the message says where and why."""


def check_domain(domain: object) -> Domain:
    """Return a domain in the form in which it is sent. Raises DomainError if it is not one."""
    if not isinstance(domain, list | tuple):
        raise DomainError(
            _(
                "%(domain)s is not a list of terms like ['state', '!=', 'cancel']",
                domain=repr(domain),
            )
        )
    missing = 0  # operands that the operators so far still need
    terms: list[Any] = []
    for item in domain:
        if missing == 0:
            missing = 1
        if isinstance(item, str):
            if item not in OPERANDS:
                raise DomainError(_("%(item)s is not a term or one of & | !", item=repr(item)))
            missing += OPERANDS[item] - 1
            terms.append(item)
        else:
            missing -= 1
            terms.append(_check_term(item))
    if missing:
        raise DomainError(
            _(
                "it ends too early: it needs %(missing)s more of its terms",
                missing=missing,
            )
        )
    return tuple(terms)


def _check_term(term: object) -> tuple[Any, ...]:
    if not isinstance(term, list | tuple) or len(term) != 3:
        raise DomainError(
            _("%(term)s is not a term of three parts: field, operator, value", term=repr(term))
        )
    path, operator, value = term
    if not isinstance(path, str) or not PATH.fullmatch(path):
        raise DomainError(
            _("%(path)s in %(term)s is not the name of a field", path=repr(path), term=repr(term))
        )
    if not isinstance(operator, str) or operator.lower() not in OPERATORS:
        known = " ".join(sorted(OPERATORS))
        raise DomainError(
            _(
                "%(operator)s in %(term)s is not an operator; these are: %(known)s",
                operator=repr(operator),
                term=repr(term),
                known=known,
            )
        )
    operator = operator.lower()
    if operator in OF_DOMAINS:
        return path, operator, list(check_domain(value))
    return path, operator, _check_value(value, operator, term)


def _check_value(value: object, operator: str, term: object) -> Any:
    if value is None:
        return False  # Odoo's own value for "empty"
    if isinstance(value, list | tuple):
        if operator not in OF_LISTS | OF_TREES:
            raise DomainError(
                _(
                    "%(operator)s in %(term)s takes one value, not a list",
                    operator=repr(operator),
                    term=repr(term),
                )
            )
        return [_check_value(one, "=", term) for one in value]
    if operator in OF_LISTS:
        raise DomainError(
            _(
                "%(operator)s in %(term)s takes a list of values",
                operator=repr(operator),
                term=repr(term),
            )
        )
    if not isinstance(value, str | int | float):
        raise DomainError(
            _(
                "%(value)s in %(term)s is not a text, a number, true or false",
                value=repr(value),
                term=repr(term),
            )
        )
    return value


def move_to_lines(domain: Sequence[Any]) -> Domain:
    """Return the domain of the lines whose orders match this domain."""
    return tuple(
        term if isinstance(term, str) else (f"{ORDER_OF_LINE}.{term[0]}", *term[1:])
        for term in domain
    )
