"""Three user groups, made by ``migrate``: those who look, those who operate, and administrators.

Nothing of this service can be edited in the administration. What the groups permit is seeing it,
and asking for actions: ``models/actions.py`` says which of them are for operators, and
``operations/rights.py`` who may ask for which.
"""

from typing import Any

from django.apps import AppConfig
from django.apps import apps as all_apps
from django.contrib.auth.management import create_permissions

from bc_consumer.models import OperatorAction, permission_for

VIEWERS = "BC viewers"
OPERATORS = "BC operators"
ADMINISTRATORS = "BC administrators"
FORMER_NAMES = {VIEWERS: "BC viewer", OPERATORS: "BC operator"}
"""Names that these groups had; they are renamed, and keep their users."""
FOR_OPERATORS = (
    "change_pendingbc",
    OperatorAction.SEE_TRACEBACKS,
    *(permission_for(kind) for kind in OperatorAction.Kind if kind in OperatorAction.FOR_OPERATORS),
)
FOR_ADMINISTRATORS = (
    *FOR_OPERATORS,
    OperatorAction.FORCE,
    *(permission_for(kind) for kind in OperatorAction.Kind),
)
MORE: dict[str, tuple[str, ...]] = {
    VIEWERS: (),
    OPERATORS: FOR_OPERATORS,
    ADMINISTRATORS: FOR_ADMINISTRATORS,
}
"""Permissions beyond viewing all our models."""


def make_groups(
    app_config: AppConfig, using: str = "default", apps: Any = all_apps, **_: Any
) -> None:
    """Make the groups, or give them what a new version has added; take nothing away.

    Called after each migration. Without Django's own users (django.contrib.auth) nothing happens.
    """
    # Django creates them only after this, in the order of INSTALLED_APPS.
    create_permissions(app_config, verbosity=0, interactive=False, using=using, apps=apps)
    try:
        groups = apps.get_model("auth", "Group").objects.using(using)
        permissions = apps.get_model("auth", "Permission").objects.using(using)
    except LookupError:
        return
    for name, former in FORMER_NAMES.items():
        if not groups.filter(name=name).exists():
            groups.filter(name=former).update(name=name)
    ours = permissions.filter(content_type__app_label=app_config.label)
    for name, codenames in MORE.items():
        group, _made = groups.get_or_create(name=name)
        group.permissions.add(
            *ours.filter(codename__startswith="view_"), *ours.filter(codename__in=codenames)
        )
