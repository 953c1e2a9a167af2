"""What a browser is told to refuse, which posts are refused, and who may post at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from bc_consumer import actors  # noqa: F401 - declares the queue that a mark is announced on
from bc_consumer.models import PendingBC, SyncLog
from tests import programs
from tests.db.copied import bc, failed
from tests.db.test_permissions import OURS, actions_of, everything, url

pytestmark = pytest.mark.django_db

PRODUCTION = {
    "ENV_FILE": os.devnull,
    "SECRET_KEY": "9f7c1b64e2aa48d0b3d5f08c6e714a92-b1d7c5e09a3348f6-8d20e6f4",
    "ALLOWED_HOSTS": "copy.example.com",
    "CSRF_TRUSTED_ORIGINS": "https://copy.example.com",
    "HTTPS": "1",
    "DATABASE_URL": "postgresql://bc:bc-of-2-databases@127.0.0.1:1/bc",
    "RABBITMQ_URL": "amqp://bc:bc-of-1-broker@127.0.0.1:1/",
    "ODOO_URL": "https://odoo.example.com",
    "ODOO_DATABASE": "odoo",
    "ODOO_LOGIN": "copy",
    "ODOO_PASSWORD": "made-up-for-1-check",
    "ODOO_WEBHOOK_SECRETS": "a-secret-of-the-example-alone",
    "EMAIL_URL": "smtp://mail.example.com",
}
SHOW = """
import json
from django.conf import settings
print(json.dumps({name: getattr(settings, name, None) for name in dir(settings)
                  if name.startswith(("SESSION_C", "CSRF_C", "SECURE_", "X_F", "DEBUG"))}))
"""


def in_production(*words: str, **changed: str) -> subprocess.CompletedProcess[str]:
    given = {n: os.environ[n] for n in ("PATH", *programs.LOCALE) if n in os.environ}
    environment = given | {"DATA_DIR": "var/check"} | PRODUCTION | changed
    return programs.run([sys.executable, "manage.py", *words], environment=environment, seconds=60)


def test_check_deploy_has_nothing_to_say() -> None:
    done = in_production("check", "--deploy", "--fail-level", "DEBUG")
    assert done.returncode == 0, done.stderr


def test_check_deploy_names_what_is_missing() -> None:
    done = in_production(
        "check", "--deploy", "--fail-level", "WARNING", HTTPS="0", ODOO_PASSWORD="odoo"
    )
    assert done.returncode == 1
    for expected in ("security.W012", "security.W016", "bc.W050"):
        assert expected in done.stderr


def test_cookies_are_for_this_host_and_https_alone() -> None:
    shown: dict[str, Any] = json.loads(in_production("shell", "-c", SHOW).stdout.splitlines()[-1])
    assert shown["SESSION_COOKIE_NAME"] == "__Host-sessionid"
    assert shown["CSRF_COOKIE_NAME"] == "__Host-csrftoken"
    for name in ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SESSION_COOKIE_HTTPONLY"):
        assert shown[name] is True, name
    assert shown["SESSION_COOKIE_SAMESITE"] == shown["CSRF_COOKIE_SAMESITE"] == "Lax"
    # What a «__Host-» name promises, browsers hold us to.
    assert shown["SESSION_COOKIE_DOMAIN"] is shown["CSRF_COOKIE_DOMAIN"] is None
    assert shown["SESSION_COOKIE_PATH"] == shown["CSRF_COOKIE_PATH"] == "/"
    assert shown["SECURE_SSL_REDIRECT"] is True
    assert shown["SECURE_HSTS_SECONDS"] >= 3600
    assert shown["DEBUG"] is False


@pytest.mark.parametrize(
    ("path", "status"),
    [("/admin/login/", 200), ("/", 302), ("/nowhere/", 404), ("/bc/999/", 302), ("/healthz", 200),
     ("/status.json", 200), ("/odoo/webhook/", 405), ("/static/bc_consumer/page.css", 200)],
)  # fmt: skip
def test_every_answer_tells_browsers_what_to_refuse(path: str, status: int) -> None:
    answer = Client().get(path)
    assert answer.status_code == status
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    if not path.startswith("/static/"):  # whitenoise answers before it gets to these
        assert answer["X-Frame-Options"] == "DENY"
    policy = answer["Content-Security-Policy"]
    for directive in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"):
        assert directive in policy
    assert "unsafe" not in policy
    answer.close()


def test_the_session_s_cookie_is_kept_from_scripts() -> None:
    User.objects.create_superuser("chief", password="a password of Zq7")
    form = {"username": "chief", "password": "a password of Zq7", "next": "/admin/"}
    answer = Client().post("/admin/login/", form)
    assert answer.status_code == 302
    cookie = answer.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def posts() -> list[tuple[str, dict[str, Any]]]:
    """Every post that does something, for all models."""
    bc(1)
    failed(1)
    SyncLog.objects.create(started_at=timezone.now())
    found = []
    for model in OURS:
        chosen = [str(pk) for pk in model._default_manager.values_list("pk", flat=True)]
        for action in (*actions_of(model), "delete_selected"):
            form = {"action": action, "_selected_action": chosen, "post": "yes"}
            found.append((url(model), form))
        found.append((url(model, "add"), {}))
        for pk in chosen:
            found.append((url(model, "change", pk), {}))
            found.append((url(model, "delete", pk), {"post": "yes"}))
    return found


def test_anonymous_callers_may_post_nothing() -> None:
    for path, form in posts():
        before = everything()
        answer = Client().post(path, form)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")
        assert everything() == before


def test_a_post_without_its_token_is_refused_of_anybody() -> None:
    User.objects.create_superuser("chief", password="unused")
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get())
    for path, form in (*posts(), ("/i18n/setlang/", {"language": "fr"}), ("/admin/logout/", {})):
        before = everything()
        assert client.post(path, form).status_code == 403, path
        assert everything() == before
    assert PendingBC.objects.get().failed_at is not None


@pytest.mark.parametrize(
    "target", ["https://evil.example.com/", "//evil.example.com", "javascript:1"]
)
def test_nobody_is_sent_elsewhere_after_a_form(target: str) -> None:
    User.objects.create_superuser("chief", password="a password of Zq7")
    form = {"username": "chief", "password": "a password of Zq7", "next": target}
    client = Client()
    for answer in (
        client.post(f"/admin/login/?next={target}", form),
        client.post("/i18n/setlang/", {"language": "fr", "next": target}),
    ):
        assert answer.status_code == 302
        assert answer["Location"].startswith("/")
        assert "evil" not in answer["Location"]
        assert not answer["Location"].startswith("//")
