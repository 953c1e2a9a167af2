"""A network that breaks on command, and addresses that never answer."""

from __future__ import annotations

import contextlib
import enum
import selectors
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65_536


class Mode(enum.Enum):
    """How the gate treats traffic."""

    OPEN = "open"
    """Forwards in both directions."""
    SWALLOW = "swallow"
    """Connections are accepted and kept, but no byte passes. What was sent is held back."""
    REFUSE = "refuse"
    """Existing connections are reset, new ones refused."""


class Gate:
    """A TCP forwarder in front of a server: ``with Gate("127.0.0.1", 5672) as gate: gate.port``."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._listener: socket.socket | None = None
        self._commands: list[Mode | None] = []
        self._mode = Mode.OPEN
        self._changed = threading.Condition()
        self._waker, self._wakened = socket.socketpair()
        self._selector.register(self._wakened, selectors.EVENT_READ)
        self.port = self._listen(0)
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def rewrite(self, url: str) -> str:
        """Return a server's URL changed to lead through this gate."""
        parts = urlsplit(url)
        login, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{login}{at}127.0.0.1:{self.port}").geturl()

    def open(self) -> None:
        """Forward again, including what was held back."""
        self._order(Mode.OPEN)

    def swallow(self) -> None:
        """Act as a black hole: from now on nothing is answered, on old and new connections."""
        self._order(Mode.SWALLOW)

    def refuse(self) -> None:
        """Reset all connections and refuse new ones."""
        self._order(Mode.REFUSE)

    def close(self) -> None:
        """End all connections and the forwarding thread."""
        self._order(None)
        self._thread.join(timeout=5)
        self._waker.close()
        self._wakened.close()

    def _order(self, mode: Mode | None) -> None:
        if not self._thread.is_alive():
            return
        with self._changed:
            self._commands.append(mode)
            self._waker.send(b"!")
            done = self._changed.wait_for(lambda: not self._commands, timeout=5)
        assert done, f"the gate's thread did not carry out {mode}"

    def _listen(self, port: int) -> int:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(256)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)
        return int(listener.getsockname()[1])

    def _run(self) -> None:
        running = True
        while running:
            for key, _ in self._selector.select():
                ready = key.fileobj
                assert isinstance(ready, socket.socket)
                if ready is self._wakened:
                    running = self._obey()
                    break  # the list of ready sockets may be outdated now
                if ready is self._listener:
                    self._accept(ready)
                else:
                    self._forward(ready)

    def _obey(self) -> bool:
        self._wakened.recv(_CHUNK)
        with self._changed:
            for mode in self._commands:
                if mode is None:
                    self._change(Mode.REFUSE)
                    self._selector.close()
                    self._commands.clear()
                    self._changed.notify_all()
                    return False
                self._change(mode)
            self._commands.clear()
            self._changed.notify_all()
        return True

    def _change(self, mode: Mode) -> None:
        self._mode = mode
        if mode is Mode.REFUSE:
            for one in list(self._peers):
                self._drop(one)
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
            return
        if self._listener is None:
            self._listen(self.port)
        for one in self._peers:
            self._attend(one, reading=mode is Mode.OPEN)

    def _attend(self, one: socket.socket, *, reading: bool) -> None:
        registered = one in self._selector.get_map()
        if reading and not registered:
            self._selector.register(one, selectors.EVENT_READ)
        elif registered and not reading:
            self._selector.unregister(one)

    def _accept(self, listener: socket.socket) -> None:
        client, _ = listener.accept()
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self._peers[client], self._peers[server] = server, client
        for one in (client, server):
            self._attend(one, reading=self._mode is Mode.OPEN)

    def _forward(self, source: socket.socket) -> None:
        target = self._peers.get(source)
        if target is None:
            return
        try:
            data = source.recv(_CHUNK)
            if data:
                target.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(source)

    def _drop(self, one: socket.socket) -> None:
        other = self._peers.pop(one, None)
        if other is None:
            return  # dropped together with its peer
        del self._peers[other]
        for ended in (one, other):
            self._attend(ended, reading=False)
            with contextlib.suppress(OSError):
                ended.shutdown(socket.SHUT_RDWR)
            ended.close()


class Blackhole:
    """An address where the kernel accepts connections and nobody ever reads or answers."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(4096)
        self.port = int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Refuse connections from now on."""
        self._listener.close()


class SilentAddress(Blackhole):
    """An address where not even a connection is established, as behind a firewall."""

    def __init__(self) -> None:
        super().__init__()
        self._listener.listen(0)
        self._fillers: list[socket.socket] = []
        # Kernels differ in how many connections a full backlog still accepts, so try several.
        for _ in range(8):
            filler = socket.socket()
            filler.settimeout(0.2)
            self._fillers.append(filler)
            try:
                filler.connect(("127.0.0.1", self.port))
            except TimeoutError:
                break

    def close(self) -> None:
        for filler in self._fillers:
            filler.close()
        super().close()
