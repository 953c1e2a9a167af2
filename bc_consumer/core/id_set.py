"""A set of ids that may be millions."""

from collections.abc import Iterator

CHUNK = 4096
"""Ids in one whole number."""


class IdSet:
    """A set of positive ids that stays small however many follow each other: one bit an id."""

    def __init__(self) -> None:
        self._chunks: dict[int, int] = {}

    def add(self, number: int) -> bool:
        """Add an id; return whether it was not there yet."""
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
        """Ascending."""
        for chunk in sorted(self._chunks):
            digits = f"{self._chunks[chunk]:b}"[::-1]
            place = digits.find("1")
            while place >= 0:
                yield chunk * CHUNK + place
                place = digits.find("1", place + 1)
