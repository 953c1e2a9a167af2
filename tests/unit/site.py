"""The site in a thread of this process, for what asks it over HTTP; no database is needed."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.wsgi import get_wsgi_application

from project.embedded.site import Site
from tests.services.waiting import free_port


@contextmanager
def serving_site() -> Iterator[str]:
    """Serve it, with this process's settings; gives its public address."""
    port = free_port()
    site = Site(get_wsgi_application(), "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        site.stop()
