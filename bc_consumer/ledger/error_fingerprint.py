"""Groups failures by cause: an error's class and its text, without ids and other numbers."""

import re

LONGEST = 200
"""Characters of the text in a fingerprint."""
LONGEST_READ = 10_000
"""Characters of the text that are read."""
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
NUMBERS = re.compile(r"#(?:[\s,]+#)+")
BLANK = re.compile(r"\s+")


def fingerprint(error_class: str, text: str) -> str:
    """Return the fingerprint that all failures with this cause share, as a single line.

    "order 12, line 5" and "order 7, line 31" get the same one. Anything else that a text quotes
    stays in it.
    """
    plain = BLANK.sub(" ", NUMBERS.sub("#", NUMBER.sub("#", text[:LONGEST_READ]))).strip()
    return f"{error_class}: {plain[:LONGEST]}"
