"""Who may do what, whatever the rows say: nobody, those who may look, those who may read again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bc_consumer import actors  # noqa: F401 - declares the queue that a mark is announced on
from bc_consumer.installation.permissions import ADMINISTRATORS, OPERATORS, VIEWERS
from bc_consumer.models import (
    Alert,
    DeadLetter,
    OperatorAction,
    PendingBC,
    SyncLog,
    SyncState,
)
from bc_consumer.operations.action_requests import ask
from tests.db.copied import bc, failed, journal, line, pending
from tests.quick import some
from tests.unit.test_permissions_documented import WITHOUT_EFFECT
from tests.unit.test_permissions_documented import told as permissions_documented

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("rows")]

OURS = sorted(
    (model for model in admin.site._registry if model._meta.app_label == "bc_consumer"),
    key=lambda model: model.__name__,
)
PAGES = ("/", "/bc/1/", "/bc/2/", "/today/", "/alerts/", "/failures/", "/failures/messages/")
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}"


@pytest.fixture
def rows() -> None:
    """Rows of every kind, whose every text comes from somebody who means harm."""
    texts = {"name": HOSTILE, "partner_name": HOSTILE, "company_name": HOSTILE, "notes": HOSTILE}
    order = bc(1, state=HOSTILE, invoice_status=HOSTILE, currency_name=HOSTILE, **texts)
    line(order, 11, name=HOSTILE, product_name=HOSTILE)
    failed(1, last_error=HOSTILE, error_class=HOSTILE, traceback=HOSTILE, last_payload=HOSTILE)
    pending(2, held_reason=HOSTILE, causes=HOSTILE)
    journal(1, causes=HOSTILE, error=HOSTILE, changes={"fields": {"name": [HOSTILE, HOSTILE]}})
    journal(1, changes={"fields": {HOSTILE: [1, 2]}, "lines": {"11": {"name": [HOSTILE, "x"]}}})
    SyncLog.objects.create(started_at=timezone.now(), error=HOSTILE)
    SyncState.objects.get_or_create(key=SyncState.KEY)
    SyncState.objects.update(is_syncing=True, owner=HOSTILE)
    now = timezone.now()
    Alert.objects.create(key=HOSTILE, text=HOSTILE, first_at=now, last_at=now)
    DeadLetter.objects.create(
        queue=HOSTILE, body=HOSTILE.encode(), digest="0", why=HOSTILE, first_at=now, last_at=now
    )


def login(group: str | None) -> Client:
    user = User.objects.create_user("someone", is_staff=True)
    if group is not None:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def url(model: type[Model], page: str = "changelist", *args: object) -> str:
    return reverse(f"admin:bc_consumer_{model.__name__.lower()}_{page}", args=args)


def everything() -> dict[str, list[dict[str, Any]]]:
    """Return all rows of all our tables."""
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in OURS}


def pages_of(model: type[Model]) -> Iterable[str]:
    yield url(model)
    for row in model._default_manager.all():
        yield url(model, "change", row.pk)
        yield url(model, "history", row.pk)


@pytest.mark.parametrize("model", some(OURS), ids=lambda model: model.__name__)
@pytest.mark.parametrize("group", [VIEWERS, OPERATORS, ADMINISTRATORS])
def test_all_groups_see_everything(group: str, model: type[Model]) -> None:
    client = login(group)
    for page in pages_of(model):
        assert client.get(page).status_code == 200, page


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_staff_of_no_group_see_nothing_in_the_administration(model: type[Model]) -> None:
    client = login(None)
    for page in pages_of(model):
        assert client.get(page).status_code == 403, page


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
@pytest.mark.parametrize("group", [VIEWERS, OPERATORS, ADMINISTRATORS])
def test_nobody_adds_edits_or_deletes(group: str, model: type[Model]) -> None:
    client, before = login(group), everything()
    assert client.get(url(model, "add")).status_code == 403
    assert client.post(url(model, "add"), {"key": "x"}).status_code == 403
    for row in list(model._default_manager.all()):
        fields = {field.name: "" for field in model._meta.fields}
        assert client.post(url(model, "change", row.pk), fields).status_code == 403
        for answer in (
            client.get(url(model, "delete", row.pk)),
            client.post(url(model, "delete", row.pk), {"post": "yes"}),
        ):
            assert answer.status_code == 403
    run_action(client, model, "delete_selected", post="yes")
    assert everything() == before


def actions_of(model: type[Model]) -> list[str]:
    return [getattr(action, "__name__", "") for action in admin.site._registry[model].actions or ()]


def run_action(client: Client, model: type[Model], action: str, **values: str) -> None:
    chosen = [str(pk) for pk in model._default_manager.values_list("pk", flat=True)]
    values |= {"action": action, "index": "0", "select_across": "0"}
    answer = client.post(url(model), {**values, "_selected_action": chosen})
    assert answer.status_code in {200, 302}


def test_viewers_may_run_no_action_and_administrators_all() -> None:
    viewer, before = login(VIEWERS), everything()
    actions = [(model, action) for model in OURS for action in actions_of(model)]
    assert {action for _, action in actions} >= {"read_again", "replay", "dismiss"}
    for model, action in actions:
        assert action not in viewer.get(url(model)).content.decode()
        run_action(viewer, model, action)
    assert everything() == before

    User.objects.get().groups.set([Group.objects.get(name=ADMINISTRATORS)])
    for model, action in actions:
        assert f'value="{action}"' in viewer.get(url(model)).content.decode()
        before = everything()
        run_action(viewer, model, action)
        if (model, action) != (PendingBC, "replay"):  # reopened by the action before
            assert everything() != before, f"{action} of {model.__name__} did nothing"


@pytest.mark.parametrize("group", [VIEWERS, OPERATORS, ADMINISTRATORS])
def test_viewers_see_everything_but_tracebacks(group: str) -> None:
    SyncLog.objects.update(traceback="File run.py, line 7")
    PendingBC.objects.update(traceback="File writer.py, line 9")
    client = login(group)
    for model, trace in ((SyncLog, "File run.py"), (PendingBC, "File writer.py")):
        shown = client.get(url(model, "change", model._default_manager.latest("pk").pk))
        assert shown.status_code == 200
        assert (trace in shown.content.decode()) == (group != VIEWERS)


def test_archiving_past_the_brake_takes_the_right_to_set_it_aside() -> None:
    client = login(OPERATORS)
    someone = User.objects.get(username="someone")
    someone.user_permissions.add(Permission.objects.get(codename="ask_archive"))
    pages = ("/failures/", "/failures/held/", "/bc/2/")
    assert not any('archive"' in client.get(page).content.decode() for page in pages)
    assert not any("/ask/archive/" in client.get(page).content.decode() for page in pages)
    assert client.post("/ask/archive/", {"all": "1"}).status_code == 403
    with pytest.raises(PermissionDenied):
        ask(OperatorAction.Kind.ARCHIVE, User.objects.get(pk=someone.pk), all=True)
    someone.user_permissions.add(Permission.objects.get(codename="ask_forced"))
    assert all("/ask/archive/" in client.get(page).content.decode() for page in pages)
    assert client.post("/ask/archive/", {"all": "1"}).status_code == 302


def test_operators_delete_no_dead_letters() -> None:
    client = login(OPERATORS)
    assert 'value="dismiss"' not in client.get(url(DeadLetter)).content.decode()
    run_action(client, DeadLetter, "dismiss")
    assert DeadLetter.objects.exists()


@pytest.mark.parametrize("group", [VIEWERS, OPERATORS, ADMINISTRATORS])
def test_no_group_manages_users(group: str) -> None:
    client = login(group)
    for page in ("auth_user_changelist", "auth_user_add", "auth_group_changelist"):
        assert client.get(reverse(f"admin:{page}")).status_code == 403


def test_the_pages_take_a_login_of_staff() -> None:
    for client in (Client(), login(None)):
        user = User.objects.filter(username="someone")
        user.update(is_staff=False)
        for page in (*PAGES, "/admin/"):
            assert client.get(page).status_code in {302, 403}
        user.update(is_staff=True)
    for page in PAGES:
        assert client.get(page).status_code == 200


@pytest.mark.slow("loads every page")
def test_what_means_harm_is_shown_as_text(settings: LazySettings) -> None:
    User.objects.create_superuser("chief", password="unused")
    client = Client()
    client.force_login(User.objects.get())
    pages = [*PAGES, "/admin/", *(page for model in OURS for page in pages_of(model))]
    pages += [f"{url(PendingBC)}?q=%3Cscript%3Ealert(3)", "/bc/1/?next=javascript:alert(4)"]
    shown = 0
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, page
        text = answer.content.decode()
        shown += "&lt;script&gt;alert(1)" in text
        assert not re.search(r"<script[^>]*>\s*alert|<img[^>]*onerror|=.javascript:", text), page
        assert answer["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["X-Frame-Options"] == "DENY"
    assert shown > 10


def test_a_new_migration_takes_nothing_away(django_db_setup: None) -> None:
    from django.apps import apps

    from bc_consumer.installation.permissions import make_groups

    group = Group.objects.get(name=VIEWERS)
    before = set(group.permissions.values_list("codename", flat=True))
    assert {f"view_{model.__name__.lower()}" for model in OURS} <= before
    assert not [name for name in before if not name.startswith("view_")]
    extra = group.permissions.model.objects.get(codename="view_user")
    group.permissions.add(extra)
    make_groups(apps.get_app_config("bc_consumer"))
    assert extra in group.permissions.all()


def test_the_groups_hold_what_the_document_says() -> None:
    held = {
        name: set(Group.objects.get(name=name).permissions.values_list("codename", flat=True))
        for name in (VIEWERS, OPERATORS, ADMINISTRATORS)
    }
    documented = permissions_documented()
    for name, codenames in held.items():
        assert codenames == {one for one, groups in documented.items() if name in groups}, name
    known = set(
        Permission.objects.filter(content_type__app_label="bc_consumer").values_list(
            "codename", flat=True
        )
    )
    without_effect = {one for one in known if one.startswith(WITHOUT_EFFECT)}
    assert set(documented) == known - without_effect | {"change_pendingbc"}
