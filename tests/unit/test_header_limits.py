"""What is refused before Django reads it: cookies and types that would cost much, and lengths."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest

from project.header_limits import LONGEST, LONGEST_HEADER
from tests.unit.asking import answered, environ_of

FORM = "application/x-www-form-urlencoded"


def status(**values: str) -> int:
    return answered(lambda _request: None, environ_of(b"", **values))


@pytest.mark.parametrize(
    "cookie",
    [
        'sessionid="' + "\\" * 8_150 + '"',
        'sessionid="' + "\\" * 1_000 + '"',
        'a=b; django_language="\\054"',
        "\\",
    ],
)
def test_a_cookie_with_a_backslash_is_refused(cookie: str) -> None:
    """A quoted one takes time in proportion to the square of its backslashes (Python 3.11.7)."""
    assert status(HTTP_COOKIE=cookie) in {400, 431}


def test_cookies_are_as_long_as_django_s_own_need() -> None:
    assert status(HTTP_COOKIE="sessionid=" + "a" * 4_096) == 431
    ours = f"sessionid={'a' * 32}; csrftoken={'b' * 64}; messages={'c' * 2_048}; django_language=fr"
    assert status(HTTP_COOKIE=ours) == 200
    assert status(HTTP_COOKIE='theme="dark"; sessionid=a') == 200, "a quoted one is no harm"


@pytest.mark.parametrize(
    "type_",
    [
        "",
        FORM,
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="Utf-8"',
        f"{FORM} ; Charset = utf-8 ",
        "application/json; odata=verbose; charset=utf-8",
        "text/plain",
    ],
)
def test_types_that_are_read(type_: str) -> None:
    assert status(CONTENT_TYPE=type_) == 200


@pytest.mark.parametrize(
    "type_",
    [
        "multipart/form-data; boundary=B; charset=punycode",
        "multipart/form-data; boundary=B",
        "multipart/form-data; boundary=B; charset=utf-8",
        " Multipart/Form-Data",
        "multipart/mixed",
        f"{FORM}; charset=punycode",
        f"{FORM}; charset=base64",
        f"{FORM}; charset=latin-1",
        f'{FORM}; charset="utf-8;punycode"',
        f"{FORM}; charset=utf-8; charset=punycode",
        f"{FORM};CHARSET=punycode",
        f"{FORM}; charset",
        f"{FORM}; charset*=utf-8''punycode",
        f"{FORM}; charset*0=puny; charset*1=code",
        f"{FORM}; charset*0*=utf-8''punycode",
        f"{FORM}; x*=punycode''{'a' * 40}",
        f'{FORM}; x="; charset=punycode; y="',
    ],
)
def test_types_in_another_charset_and_uploads_are_not(type_: str) -> None:
    for method in ("GET", "POST"):
        assert status(CONTENT_TYPE=type_, REQUEST_METHOD=method, QUERY_STRING="q==") == 415


def test_whatever_passes_is_read_as_utf_8() -> None:
    """By Django's own reading of the header: it is not read in another way here."""
    seen: list[WSGIRequest] = []
    names = ("charset", "CHARSET", "charset*", "charset*0", "charset*0*", " charset ", '"charset"')
    values = ("utf-8", '"utf-8"', "punycode", "utf-8''punycode", "'utf-8'", '"utf-8";x', "utf-8\\")
    for kind in (FORM, "multipart/form-data", "a=b", ""):
        for name in names:
            for value in values:
                for rest in ("", ";charset=punycode", '; x="', "; charset*1=x"):
                    type_ = f"{kind};{name}={value}{rest}"
                    answered(seen.append, environ_of(CONTENT_TYPE=type_))
    assert seen
    assert {request.encoding for request in seen} <= {None, "utf-8", "UTF-8"}
    assert "multipart/form-data" not in {request.content_type for request in seen}


@pytest.mark.parametrize("name", [*LONGEST, "HTTP_X"])
def test_each_header_has_a_longest_length(name: str) -> None:
    longest = LONGEST.get(name, LONGEST_HEADER)
    passing: dict[str, Any] = {name: "a" * longest}
    assert status(**passing) == 200
    assert status(**{name: "a" * (longest + 1)}) == 431
