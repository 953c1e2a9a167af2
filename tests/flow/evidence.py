"""Made-up secrets that can be recognised in any form, and all that a run left, to search in."""

from __future__ import annotations

import secrets
import socketserver
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from types import TracebackType
from typing import Any, Self

import psycopg2

from tests.services.processes import tree

AROUND = "'{}&</+é\" %41"
"""Each way to write a secret down changes some of these; what is searched for is before them."""


@dataclass(frozen=True, slots=True)
class Secret:
    """``core``: the part that is the same in every form but base64."""

    core: str
    value: str

    @classmethod
    def new(cls, around: str = AROUND) -> Self:
        """``around``: what follows the core, where not everything is allowed."""
        core = f"Zq7{secrets.token_hex(8)}"
        return cls(core, core + around)

    def forms(self) -> Iterator[str]:
        """Give what betrays it: its core, or this in base64, wherever it begins in there."""
        yield self.core
        for offset in range(3):
            yield b64encode(b"\0" * offset + self.core.encode()).decode()[4:-4]


@dataclass(slots=True)
class Evidence:
    """Texts by where they were found."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, text: object) -> None:
        """Keep one more text; what is found in one place several times is kept each time."""
        self.texts[where] = f"{self.texts.get(where, '')}\n{text}"

    def spilled(self, hidden: Mapping[str, Secret]) -> dict[str, str]:
        """Return which secret was found where, with what stands around it."""
        found = {}
        for where, text in self.texts.items():
            for name, secret in hidden.items():
                for form in secret.forms():
                    if form in text:
                        at = text.index(form)
                        found[f"{name} in {where}"] = text[max(at - 300, 0) : at + 120]
        return found

    def add_tables(self, database_url: str, *, but: tuple[str, ...] = ()) -> None:
        """Keep every row of every table."""
        connection = psycopg2.connect(database_url)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            for (table,) in cursor.fetchall():
                if table not in but:
                    cursor.execute(f'SELECT * FROM "{table}"')
                    self.add(f"table {table}", "\n".join(map(_readable, cursor.fetchall())))
        connection.close()

    def add_arguments(self, pid: int) -> None:
        """Keep what ``ps`` shows of a process and its children."""
        for member in tree(pid):
            with open(f"/proc/{member}/cmdline", encoding="utf-8") as line:  # noqa: PTH123
                self.add("arguments of processes", line.read())


def _readable(row: tuple[Any, ...]) -> str:
    return repr([bytes(value) if isinstance(value, memoryview) else value for value in row])


class MailServer:
    """Takes mails after a login by PLAIN; ``refuse``: answers it with what it was given."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.refuse = False
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def keep(self, raw: bytes) -> None:
        """Keep a mail as it came, and its text as people read it."""
        text = message_from_bytes(raw).get_payload(decode=True)
        assert isinstance(text, bytes)
        self.mails.append(f"{raw.decode()}\n{text.decode()}")

    def _handler(self) -> type[socketserver.StreamRequestHandler]:
        mails = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 mail\r\n")
                for line in iter(self.rfile.readline, b""):
                    words = line.split()
                    verb = words[0].upper() if words else b""
                    self.wfile.write(self.answer(verb, line))
                    if verb == b"QUIT":
                        return

            def answer(self, verb: bytes, line: bytes) -> bytes:
                if verb == b"EHLO":
                    return b"250-mail\r\n250 AUTH PLAIN\r\n"
                if verb == b"AUTH":
                    refused = b"535 no such login: %s\r\n" % line.strip()
                    return refused if mails.refuse else b"235 welcome\r\n"
                if verb == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    mails.keep(b"".join(iter(self.rfile.readline, b".\r\n")))
                return b"250 fine\r\n"

        return Handler
