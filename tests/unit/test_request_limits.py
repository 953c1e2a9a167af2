"""How large a form may be."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from project.request_limits import LARGEST_FORM, RequestLimitsMiddleware

FORM = "application/x-www-form-urlencoded"


def status(path: str, size: int) -> int:
    def view(request: HttpRequest) -> HttpResponse:
        assert len(request.POST["a"]) == size - 2
        return HttpResponse()

    body = b"a=" + b"x" * (size - 2)
    request = RequestFactory().generic("POST", path, body, FORM)
    return RequestLimitsMiddleware(view)(request).status_code


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/auth/user/1/change/", "/i18n/setlang/"])
def test_a_form_is_as_large_as_ours_at_most(path: str) -> None:
    assert status(path, LARGEST_FORM) == 200
    assert status(path, LARGEST_FORM + 1) == 413


def test_django_s_own_limit_lets_as_much_through(settings: LazySettings) -> None:
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE >= LARGEST_FORM
    assert settings.DATA_UPLOAD_MAX_MEMORY_SIZE >= settings.WEBHOOK_MAX_BODY_BYTES
