"""Which failures have one cause: an error's class and its text, without ids and other numbers."""

import re

LONGEST = 200
LONGEST_READ = 10_000
"""Characters of a text that are looked at."""
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
NUMBERS = re.compile(r"#(?:[\s,]+#)+")
BLANK = re.compile(r"\s+")


def kind(error_class: str, text: str) -> str:
    """Return what all failures of this cause have in common, in one line.

    «Order 12, line 5» and «order 7, line 31» become one; what else a text quotes stays.
    """
    plain = BLANK.sub(" ", NUMBERS.sub("#", NUMBER.sub("#", text[:LONGEST_READ]))).strip()
    return f"{error_class}: {plain[:LONGEST]}"
