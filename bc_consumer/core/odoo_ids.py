"""Odoo's ids: their limit, one that was typed, and a compact set for millions of them."""

from collections.abc import Iterator

HIGHEST_ID = 2**31 - 1
"""Odoo's ids are PostgreSQL integers, and XML-RPC carries no larger ones."""
LONGEST_ID = 100
"""Characters of an id that was typed, leading zeros included."""
CHUNK = 4096
"""Ids per integer."""


def parse_id(text: str) -> int | None:
    """Return the id that somebody typed; None if it is none."""
    digits = text.strip()
    # Python refuses to make an integer of thousands of digits.
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > LONGEST_ID:
        return None
    number = int(digits)
    return number if 0 < number <= HIGHEST_ID else None


class IdSet:
    """A set of positive ids that takes one bit per id where ids are dense."""

    def __init__(self) -> None:
        self._chunks: dict[int, int] = {}

    def add(self, number: int) -> bool:
        """Add an id; return whether it is new."""
        chunk, place = divmod(number, CHUNK)
        bits = self._chunks.get(chunk, 0)
        if bits >> place & 1:
            return False
        self._chunks[chunk] = bits | 1 << place
        return True

    def __contains__(self, number: int) -> bool:
        chunk, place = divmod(number, CHUNK)
        return bool(self._chunks.get(chunk, 0) >> place & 1)

    def __iter__(self) -> Iterator[int]:
        """Yield the ids in ascending order."""
        for chunk in sorted(self._chunks):
            digits = f"{self._chunks[chunk]:b}"[::-1]
            place = digits.find("1")
            while place >= 0:
                yield chunk * CHUNK + place
                place = digits.find("1", place + 1)
