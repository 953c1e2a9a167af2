"""Reads settings from the environment; errors name the variable."""

import ast
import contextlib
import json
import re
from collections.abc import Mapping
from datetime import time
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from bc_consumer.core.working_hours import WorkingHours, read_working_hours

BETWEEN_URLS = re.compile(r"(?<![\s,])[\s,]++(?=[a-zA-Z][a-zA-Z0-9+.-]*+://)")


class Environment:
    """Variables by name, all of them text: ``os.environ``, or a project's own source of settings.

    Every method raises ImproperlyConfigured for a value that can't be right.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        """Return the variable, or ``default`` when it is unset or empty."""
        return self._values.get(name, "").strip() or default

    def required(self, name: str, why: str) -> str:
        """Return the variable; if it is unset or empty, the error explains ``why`` it is needed."""
        value = self.text(name)
        if not value:
            raise ImproperlyConfigured(f"{name} is not set: {why}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return the variable as a boolean: 1/0, true/false, yes/no, on/off."""
        value = self.text(name, "1" if default else "0").lower()
        if value in {"1", "true", "yes", "on"}:
            return True
        if value in {"0", "false", "no", "off"}:
            return False
        raise ImproperlyConfigured(f"{name}={value!r} is not a yes or a no: write 1 or 0.")

    def number(self, name: str, default: float, *, minimum: float = 0.0) -> float:
        """Return the variable as a number of at least ``minimum``."""
        value = self.text(name)
        try:
            result = float(value) if value else default
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}={value!r} is not a number.") from error
        if not minimum <= result < float("inf"):
            raise ImproperlyConfigured(
                f"{name}={value!r} must be a number of at least {minimum:g}."
            )
        return result

    def integer(self, name: str, default: int, *, minimum: int = 0) -> int:
        """Return the variable as a whole number of at least ``minimum``."""
        result = self.number(name, default, minimum=minimum)
        if result != int(result):
            raise ImproperlyConfigured(f"{name}={result} is not a whole number.")
        return int(result)

    def literal(self, name: str) -> list[Any]:
        """Return the variable, a list written in JSON or Python syntax; [] when unset."""
        value = self.text(name)
        for read in (json.loads, ast.literal_eval):
            with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                result = read(value) if value else []
                if isinstance(result, list):
                    return result
        raise ImproperlyConfigured(
            f"{name}={value!r} is not a list: write it as in JSON or in Python."
        )

    def integers(self, name: str) -> tuple[int, ...]:
        """Return the comma-separated positive whole numbers, without duplicates; () when unset."""
        words = self.words(name)
        if not all(word.isdecimal() and int(word) > 0 for word in words):
            raise ImproperlyConfigured(
                f"{name}={self.text(name)!r} is not a list of whole numbers above 0, like 1,2."
            )
        return tuple(dict.fromkeys(map(int, words)))

    def words(self, name: str, default: str = "") -> list[str]:
        """Return the variable's comma-separated items."""
        return [item.strip() for item in self.text(name, default).split(",") if item.strip()]

    def urls(self, name: str) -> list[str]:
        """Return the URLs, separated by commas or white space; a URL may contain commas itself."""
        return [item for item in BETWEEN_URLS.split(self.text(name).strip(", ")) if item]

    def numbers(self, name: str, default: str) -> tuple[float, ...]:
        """Return the ascending numbers of at least 0, separated by spaces or commas."""
        value = self.text(name, default)
        try:
            result = tuple(float(item) for item in value.replace(",", " ").split())
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}={value!r} is not a list of numbers.") from error
        if not result or list(result) != sorted(result) or result[0] < 0:
            raise ImproperlyConfigured(f"{name}={value!r} must be ascending numbers of at least 0.")
        return result

    def time_of_day(self, name: str, default: str) -> time | None:
        """Return the variable, written HH:MM; None for "never"."""
        value = self.text(name, default)
        if value == "never":
            return None
        try:
            return time.fromisoformat(value)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name}={value!r} is neither a time of day like 02:30 nor never."
            ) from error

    def working_hours(self, name: str, default: str) -> WorkingHours | None:
        """Return the variable, written like "mon-fri 8-18"; None for "never"."""
        value = self.text(name, default)
        if value == "never":
            return None
        try:
            return read_working_hours(value)
        except ValueError as error:
            raise ImproperlyConfigured(
                f'{name}={value!r} must be like "mon-fri 8-18" or "mon,wed 7:30-12", or never.'
            ) from error

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """Return the variable, which must be one of ``choices``."""
        value = self.text(name, default)
        if value not in choices:
            raise ImproperlyConfigured(f"{name}={value!r} must be one of {', '.join(choices)}.")
        return value

    def url(self, name: str, schemes: tuple[str, ...], default: str = "") -> str:
        """Return the variable as a URL with one of ``schemes``; errors never quote its value."""
        value = self.text(name, default)
        scheme, separator, rest = value.partition("://")
        if value and (scheme not in schemes or not separator or not rest):
            raise ImproperlyConfigured(
                f"{name} is not a URL of the form {schemes[0]}://host…: write it with its scheme."
            )
        return self.unambiguous(name, value)

    def unambiguous(self, name: str, url: str) -> str:
        """Return the URL. Raises if its password could be misread, and shown, as another part."""
        if not (url.startswith("sqlite:") or _is_unambiguous(url)):
            raise ImproperlyConfigured(
                f"{name} can't be read: in its user name and password, write each special "
                "character as %XX (/ is %2F, @ is %40, # is %23), and its port as a number."
            )
        return url


def _is_unambiguous(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # otherwise its error would quote a part of a password with a slash in it
    except ValueError:
        return False
    return "@" in parts.netloc or "@" not in url
