"""The language of names: one that Odoo's users have; and another one is read anew."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from bc_consumer.core.sql_dialect import database_now
from bc_consumer.models import BC, Alert, CopyOrigin, SyncLog
from bc_consumer.reconciliation.run import reconcile
from bc_consumer.reconciliation.schedule import RunRequest
from odoo_simulator import Simulator

pytestmark = pytest.mark.usefixtures("odoo")


def run(cause: SyncLog.Cause = SyncLog.Cause.COMMAND) -> SyncLog:
    return reconcile(RunRequest(cause))


@pytest.mark.simulator(version=17, languages=("fr_FR",))
def test_the_first_run_tells_of_a_language_that_nobody_uses(
    simulator: Simulator, settings: LazySettings
) -> None:
    simulator.create_order()
    run()
    alert = Alert.objects.get()
    assert "en_US" in alert.subject
    assert "ODOO_LANGUAGE=fr_FR" in alert.text
    settings.ODOO_LANGUAGE = "fr_FR"
    run()
    assert not Alert.objects.exists()


def test_a_language_in_use_is_nobody_s_trouble(simulator: Simulator) -> None:
    simulator.create_order()
    run()
    assert not Alert.objects.exists()


def test_an_account_that_may_not_see_languages_learns_nothing(simulator: Simulator) -> None:
    simulator.create_order()
    simulator.faults.deny_model("res.lang")
    assert run().status == SyncLog.Status.OK
    assert not Alert.objects.exists()


def test_rule_13_all_orders_are_read_again_in_another_language(
    simulator: Simulator, settings: LazySettings
) -> None:
    ids = [simulator.create_order(), simulator.create_order()]
    # Long ago, so that no window has them.
    simulator.update_sql("purchase.order", ids, {"write_date": "2020-01-01 00:00:00.000000"})
    run()
    settings.ODOO_LANGUAGE = "fr_FR"
    changed_at = database_now()
    run()
    assert BC.objects.filter(odoo_id__in=ids, synced_at__gt=changed_at).count() == len(ids)
    again_at = database_now()
    run()
    assert not BC.objects.filter(synced_at__gt=again_at).exists()


def test_a_copy_made_before_its_language_was_kept_is_not_read_again(
    simulator: Simulator,
) -> None:
    simulator.create_order()
    run()
    CopyOrigin.objects.update(language="")
    run()
    origin = CopyOrigin.objects.get()
    assert (origin.language, origin.fields_changed_at) == ("en_US", None)
