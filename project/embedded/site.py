"""The site, served by waitress in a thread of this process."""

import threading
from typing import Any

from waitress.server import create_server

THREADS = 8
LARGEST_BODY_BYTES = 8 * 2**20


class Site:
    """Listens as soon as it is made; OSError when it can't."""

    def __init__(self, application: Any, host: str, port: int) -> None:
        self._server = create_server(
            application,
            host=host,
            port=port,
            threads=THREADS,
            ident=None,
            max_request_body_size=LARGEST_BODY_BYTES,
        )
        self._thread = threading.Thread(target=self._server.run, name="site", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let running requests end, and accept no more."""
        self._server.close()
        # Its loop sleeps until something happens: this does, and finds nothing left to serve.
        self._thread.join(timeout=2)
