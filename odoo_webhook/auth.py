"""Who may call the webhook: whoever knows one of the configured secrets.

Odoo's webhook action cannot send headers of its own, but credentials in its URL
(``https://odoo:SECRET@host/odoo/webhook/``) arrive as HTTP Basic (measured on 17, 18, 19). Other
callers may send ``Authorization: Bearer SECRET``.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence


def authorized(header: str, secrets: Sequence[str]) -> bool:
    """Whether the ``Authorization`` header carries one of the secrets; compares in constant time.

    The user name of Basic credentials is not looked at. No secrets: nobody is authorized.
    """
    presented = hashlib.sha256(_presented(header)).digest()
    matches = [
        hmac.compare_digest(presented, hashlib.sha256(secret.encode()).digest())
        for secret in secrets
        if secret
    ]
    return any(matches)


def _presented(header: str) -> bytes:
    scheme, _, credentials = header.strip().partition(" ")
    credentials = credentials.strip()
    if scheme.lower() == "bearer":
        return credentials.encode("utf-8", "surrogateescape")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""
