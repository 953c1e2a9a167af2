"""Two user groups, made by ``migrate``: those who may look, and those who may also replay.

Nothing of this service can be edited or deleted in the administration. The only thing left to
permit is having orders read again, which takes the right to change pending orders.
"""

from typing import Any

from django.apps import AppConfig
from django.apps import apps as all_apps
from django.contrib.auth.management import create_permissions

VIEWERS = "BC viewer"
OPERATORS = "BC operator"
MORE: dict[str, tuple[str, ...]] = {VIEWERS: (), OPERATORS: ("change_pendingbc",)}
"""Permissions beyond viewing all our models."""


def make_groups(
    app_config: AppConfig, using: str = "default", apps: Any = all_apps, **_: Any
) -> None:
    """Make both groups, or give them what a new version has added; take nothing away.

    Called after each migration. Without Django's own users (django.contrib.auth) nothing happens.
    """
    # Django creates them only after this, in the order of INSTALLED_APPS.
    create_permissions(app_config, verbosity=0, interactive=False, using=using, apps=apps)
    try:
        groups = apps.get_model("auth", "Group").objects.using(using)
        permissions = apps.get_model("auth", "Permission").objects.using(using)
    except LookupError:
        return
    ours = permissions.filter(content_type__app_label=app_config.label)
    for name, codenames in MORE.items():
        group, _made = groups.get_or_create(name=name)
        group.permissions.add(
            *ours.filter(codename__startswith="view_"), *ours.filter(codename__in=codenames)
        )
