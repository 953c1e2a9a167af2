"""Sends to chats, SMS and push services by apprise, which knows what each of them expects.

Importing apprise with its services takes a second of processor and 43 MB (measured with 2.3), so
only a process that sends or checks something imports it.
"""

import importlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from bc_consumer.core.redacted_text import redacted
from bc_consumer.core.redactor import HIDDEN
from bc_consumer.core.secret_urls import secret_parts

LONGEST_REASON = 300
"""Characters of what a service said."""
SHORTEST_PART = 3
"""Characters of a part of a URL that is hidden in what its own service said."""

_loading = threading.Lock()
_complaints: ContextVar[list[str] | None] = ContextVar("apprise_complaints", default=None)
"""What apprise logs about the present call. It returns no reasons."""


def send(url: str, subject: str, text: str, kind: str) -> None:
    """Send one message to the service that the URL names.

    ``kind``: a type of apprise ("failure", "success", "info"); services show it by a colour or a
    sign. Raises ValueError if apprise can't use the URL, OSError if the service did not take the
    message. Neither quotes anything of the URL.
    """
    with _collect_complaints() as complaints:
        try:
            service = _service(url)
            if service is None:
                raise ValueError("apprise can't use this URL")  # its reason quotes the URL
            sender = load().Apprise(asset=service.asset)
            sender.add(service)
            taken = sender.notify(
                body=text or subject, title=subject, notify_type=kind, body_format="text"
            )
        except ValueError:
            raise
        except Exception as error:  # noqa: BLE001 (a service's own; its text may quote the URL)
            raise OSError(_reason(url, [f"{type(error).__name__}: {error}"])) from None
        if not taken:
            raise OSError(_reason(url, complaints) or "the service did not accept it")


def is_usable(url: str) -> bool:
    """Return whether apprise knows the service, and the URL has what that service needs."""
    with _collect_complaints():
        return not any(map(str.isspace, url)) and _service(url) is not None


def _service(url: str) -> Any:
    """Return apprise's object for the URL; None if it can't use it."""
    module = load()
    asset = module.AppriseAsset(
        app_id="BC",
        app_desc="BC",
        # A POST that is redirected becomes a GET: the message is lost, and counts as taken.
        http_redirects=False,
        # Otherwise apprise uses threads that a process waits for before it ends.
        service_timeout=0,
        # Services would load an icon from an address of apprise's.
        image_url_mask="",
        image_url_logo="",
    )
    return module.Apprise.instantiate(url, asset=asset)


def load() -> ModuleType:
    """Import apprise and its services, unless that is done; return it."""
    with _loading:
        apprise = importlib.import_module("apprise")
        # While one thread loads the services, another would not find its own.
        apprise.NotificationManager().load_modules()
        logging.getLogger("apprise").addFilter(_collect)  # once, however often it is called
    return apprise


def _collect(record: logging.LogRecord) -> bool:
    """Keep apprise's log lines about our calls for the error; let other users' lines pass."""
    complaints = _complaints.get()
    if complaints is None:
        return True
    if record.levelno >= logging.WARNING:
        complaints.append(record.getMessage())
    return False


@contextmanager
def _collect_complaints() -> Iterator[list[str]]:
    complaints: list[str] = []
    token = _complaints.set(complaints)
    try:
        yield complaints
    finally:
        _complaints.reset(token)


def _reason(url: str, complaints: list[str]) -> str:
    """Return what apprise said, without any part of the URL."""
    reason = " ".join(" ".join(complaints).split())
    for part in sorted(set(secret_parts(url)), key=len, reverse=True):
        if len(part) >= SHORTEST_PART:
            reason = reason.replace(part, HIDDEN)
    return redacted(reason, LONGEST_REASON)
