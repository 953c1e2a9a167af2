"""Ways to break a deployment, one thing at a time, and what the doctor has to say of each."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import LazySettings
from django.db.models.functions import Now

from bc_consumer.core.translatable import verbatim
from bc_consumer.ledger import circuit_breaker
from bc_consumer.models import CopyOrigin, Heartbeat, SyncLog, SyncState
from bc_consumer.operations.alerts import alert
from odoo_simulator import Simulator
from odoo_simulator.base_data import ADMINISTRATOR
from tests.certificates import self_signed, serving_by
from tests.db.copied import bc, failed, pending
from tests.services.waiting import free_port
from tests.unit.odoo.serving import RawServer, http


@dataclass
class Setup:
    """A deployment in which everything is in order, to be broken."""

    settings: LazySettings
    simulator: Simulator
    directory: Path
    stack: ExitStack = field(default_factory=ExitStack)

    def rules(self) -> list[int]:
        return sorted(self.simulator.store.tables["base.automation"].ids())

    def first_action(self) -> int:
        return min(self.simulator.store.tables["ir.actions.server"].ids())

    def answering(self, answer: bytes, **options: Any) -> str:
        """The address of a server that always answers this."""
        return self.stack.enter_context(RawServer(lambda _incoming: answer, **options)).url


class Mail(socketserver.StreamRequestHandler):
    """A mail server that says hello, and nothing else."""

    def handle(self) -> None:
        self.wfile.write(b"220 mail.example.com\r\n")
        while line := self.rfile.readline():
            self.wfile.write(b"221 bye\r\n" if line.startswith(b"QUIT") else b"250 ok\r\n")


class Clear(socketserver.BaseRequestHandler):
    """An HTTP server that does not understand what it is sent."""

    def handle(self) -> None:
        self.request.recv(4096)
        self.request.sendall(http(b"", 400))


def mailing() -> AbstractContextManager[int]:
    return listening(Mail)


def in_clear() -> AbstractContextManager[int]:
    return listening(Clear)


@contextmanager
def listening(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """Serve connections by it; gives the port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@dataclass(frozen=True, slots=True)
class Broken:
    """One way to break it, and what the doctor has to say of it."""

    check: str
    level: str
    cause: str
    fix: str
    break_it: Callable[[Setup], None]


BROKEN: list[Broken] = []


def broken(
    check: str, level: str, *, cause: str, fix: str
) -> Callable[[Callable[[Setup], None]], Callable[[Setup], None]]:
    """Put a way to break it into the table."""

    def register(break_it: Callable[[Setup], None]) -> Callable[[Setup], None]:
        BROKEN.append(Broken(check, level, cause, fix, break_it))
        return break_it

    return register


def key(setup: Setup, name: str, user_id: int, *, days: float) -> None:
    """Have Odoo show an API key of an account that ends after so many days; log in by a key."""
    setup.settings.ODOO_PASSWORD = setup.simulator.generate_api_key()
    end = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")
    row = {"name": name, "user_id": user_id, "expiration_date": end}
    setup.simulator.create("res.users.apikeys", row)


@broken("database.copy", "error", cause="holds orders of purchase.order", fix="ODOO_ORDER_MODEL")
def the_copy_is_of_another_model(setup: Setup) -> None:
    CopyOrigin.objects.update_or_create(
        key=CopyOrigin.KEY, defaults={"order_model": "purchase.order"}
    )
    bc(1)
    setup.settings.ODOO_ORDER_MODEL = "sale.order"


@broken("odoo.settings", "error", cause="ODOO_PASSWORD", fix=".env")
def nothing_is_configured(setup: Setup) -> None:
    setup.settings.ODOO_PASSWORD = ""


@broken("odoo.settings", "error", cause="without the path of a page", fix="Correct")
def the_address_is_none(setup: Setup) -> None:
    setup.settings.ODOO_URL = "https://:8069"


@broken("odoo.address", "error", cause="resolve host", fix="DNS")
def odoos_host_is_unknown(setup: Setup) -> None:
    setup.settings.ODOO_URL = "https://odoo.invalid"


@broken("odoo.address", "error", cause="127.0.0.1", fix="Is Odoo running there?")
def odoos_port_is_closed(setup: Setup) -> None:
    setup.settings.ODOO_URL = f"http://127.0.0.1:{free_port()}"


@broken("odoo.address", "error", cause="does not speak TLS", fix="http:// or https://")
def odoo_speaks_no_tls(setup: Setup) -> None:
    setup.settings.ODOO_URL = f"https://127.0.0.1:{setup.stack.enter_context(in_clear())}"


@broken("odoo.address", "error", cause="TLS certificate", fix="ODOO_CA_FILE")
def odoos_certificate_is_self_signed(setup: Setup) -> None:
    tls = serving_by(self_signed(setup.directory))
    setup.settings.ODOO_URL = setup.answering(b"", tls=tls)


@broken("odoo.address", "error", cause="expired", fix="Renew the certificate")
def odoos_certificate_has_expired(setup: Setup) -> None:
    own = self_signed(setup.directory, expired=True)
    setup.settings.ODOO_CA_FILE = str(own / "own.pem")
    setup.settings.ODOO_URL = setup.answering(b"", tls=serving_by(own))


@broken("odoo.address", "error", cause="subject name", fix="its name in ODOO_URL")
def odoos_certificate_is_for_another_host(setup: Setup) -> None:
    own = self_signed(setup.directory)
    setup.settings.ODOO_CA_FILE = str(own / "own.pem")
    url = setup.answering(b"", tls=serving_by(own))
    setup.settings.ODOO_URL = url.replace("127.0.0.1", "localhost")


@broken("odoo.address", "error", cause="web page", fix="without a path")
def it_is_not_odoo(setup: Setup) -> None:
    setup.settings.ODOO_URL = setup.answering(http(b"<html>Welcome", 200, "text/html"))


@broken("odoo.address", "error", cause="redirects to https://odoo.example.com", fix="redirects to")
def odoo_redirects(setup: Setup) -> None:
    to = "https://odoo.example.com/xmlrpc/2/common"
    setup.settings.ODOO_URL = setup.answering(http(b"", 301, Location=to))


@broken("odoo.address", "error", cause="HTTP 404", fix="ODOO_TRANSPORT=auto")
def odoo_no_longer_speaks_the_protocol(setup: Setup) -> None:
    setup.settings.ODOO_URL = setup.answering(http(b"", 404))


@broken("odoo.address", "error", cause="HTTP 502", fix="proxy")
def odoo_is_down_behind_its_proxy(setup: Setup) -> None:
    setup.simulator.faults.http_status(502)


@broken("odoo.account", "error", cause='no database "shop"', fix="ODOO_DATABASE")
def the_database_is_another(setup: Setup) -> None:
    setup.settings.ODOO_DATABASE = "shop"


@broken("odoo.account", "error", cause='refused login "admin"', fix="ODOO_PASSWORD")
def the_password_is_wrong(setup: Setup) -> None:
    setup.settings.ODOO_PASSWORD = "not the password"


@broken("odoo.account", "warning", cause='key belongs to "buyer"', fix='key of "admin"')
def the_key_is_another_account_s(setup: Setup) -> None:
    setup.simulator.service.version = 19
    setup.simulator.add_user("buyer", "a-password", [1], api_keys=["a-key-of-the-buyer"])
    setup.settings.ODOO_TRANSPORT = "json2"
    setup.settings.ODOO_PASSWORD = "a-key-of-the-buyer"


@broken("odoo.version", "warning", cause="20.0 has never been tested", fix="--dry-run --full")
def odoo_is_newer_than_any_that_was_measured(setup: Setup) -> None:
    setup.simulator.service.version = 20


@broken("odoo.timing", "warning", cause="before its commit", fix="early or auto")
def webhooks_are_believed_to_come_after_the_commit(setup: Setup) -> None:
    setup.settings.ODOO_WEBHOOK_TIMING = "committed"


@broken("odoo.key", "warning", cause='key "copy" of this account expires', fix="create a new one")
def the_key_ends_soon(setup: Setup) -> None:
    key(setup, "copy", ADMINISTRATOR, days=3)


@broken("odoo.clock", "warning", cause="differs", fix="time server")
def odoos_clock_is_wrong(setup: Setup) -> None:
    setup.simulator.faults.clock(600)


@broken("odoo.fields", "error", cause="amount_total", fix="supported")
def a_needed_field_is_not_there(setup: Setup) -> None:
    setup.simulator.faults.drop_field("purchase.order", "amount_total")


@broken("odoo.fields", "warning", cause="purchase.order.priority", fix="leaves them out")
def a_field_is_not_there(setup: Setup) -> None:
    setup.simulator.faults.drop_field("purchase.order", "priority")


@broken("odoo.fields", "warning", cause="purchase.order.x_projct", fix="x_project?")
def a_field_is_misspelt(setup: Setup) -> None:
    setup.simulator.add_field("purchase.order", "x_project", "char")
    setup.settings.ODOO_EXTRA_FIELDS = ["x_projct"]


@broken("odoo.fields", "error", cause="may not read purchase.order", fix="Purchase / User")
def the_account_may_not_read_orders(setup: Setup) -> None:
    setup.simulator.faults.deny_model("purchase.order")


@broken("odoo.orders", "warning", cause="no order at all", fix="company")
def the_account_sees_no_order(setup: Setup) -> None:
    setup.simulator.faults.empty()


@broken("odoo.names", "warning", cause="res.partner", fix="right to read")
def the_account_may_not_read_suppliers(setup: Setup) -> None:
    setup.simulator.faults.deny_model("res.partner")


@broken("odoo.companies", "error", cause="7", fix="Allow the account")
def a_company_is_not_the_account_s(setup: Setup) -> None:
    setup.settings.ODOO_COMPANY_IDS = [1, 7]


@broken("odoo.choice", "error", cause="purchase.order.nope", fix="Correct ODOO_DOMAIN")
def the_domain_names_no_field(setup: Setup) -> None:
    setup.settings.ODOO_DOMAIN = [["nope", "=", 1]]


@broken("rabbitmq", "warning", cause="2 processes", fix="RABBITMQ_URL")
def several_processes_have_no_rabbitmq(setup: Setup) -> None:
    Heartbeat.objects.create(kind=Heartbeat.Kind.WORKER, host="machine", pid=2, at=Now())


@broken("odoo.language", "error", cause="not de_DE", fix="ODOO_LANGUAGE=en_US")
def the_language_is_not_in_use(setup: Setup) -> None:
    setup.settings.ODOO_LANGUAGE = "de_DE"


@broken("webhook.url", "error", cause="PUBLIC_URL is not set", fix="Set PUBLIC_URL")
def there_is_no_public_address(setup: Setup) -> None:
    setup.settings.PUBLIC_URL = ""


@broken("webhook.url", "error", cause="credentials", fix="https://copy.example.com")
def the_public_address_holds_a_secret(setup: Setup) -> None:
    setup.settings.PUBLIC_URL = "https://odoo:pw@copy.example.com"


@broken("webhook.answer", "error", cause="redirects to https", fix="PUBLIC_URL")
def the_public_address_redirects(setup: Setup) -> None:
    to = "https://copy.example.com/odoo/webhook/"
    setup.settings.PUBLIC_URL = setup.answering(http(b"", 301, Location=to))


@broken("webhook.answer", "error", cause="HTTP 404", fix="/odoo/webhook/")
def the_public_address_is_another_site(setup: Setup) -> None:
    setup.settings.PUBLIC_URL = setup.answering(http(b"", 404))


@broken("webhook.answer", "error", cause="can't be reached", fix="running")
def web_is_not_running(setup: Setup) -> None:
    setup.settings.PUBLIC_URL = f"http://127.0.0.1:{free_port()}"


@broken("webhook.answer", "error", cause="self-signed", fix="public authority")
def our_certificate_is_self_signed(setup: Setup) -> None:
    tls = serving_by(self_signed(setup.directory))
    setup.settings.PUBLIC_URL = setup.answering(b"", tls=tls)


@broken("webhook.answer", "error", cause="HTTP 400", fix="ALLOWED_HOSTS")
def our_host_is_not_allowed(setup: Setup) -> None:
    setup.settings.ALLOWED_HOSTS = ["copy.example.com"]


@broken("webhook.ping", "error", cause="another copy", fix="SECRET_KEY")
def the_public_address_is_another_copy(setup: Setup) -> None:
    setup.settings.PUBLIC_URL = setup.answering(http(b'{"pong": "x"}', 200, "application/json"))


@broken("webhook.ping", "error", cause="refuses secret 1", fix="Restart web")
def web_runs_with_older_settings(setup: Setup) -> None:
    answer = http(b"", 401, WWW_Authenticate='Basic realm="odoo webhook"')
    setup.settings.PUBLIC_URL = setup.answering(answer)


@broken("odoo.rules", "error", cause="missing in Odoo", fix="odoo_rules install")
def the_rules_are_missing(setup: Setup) -> None:
    setup.simulator.remove_rules()


@broken("odoo.rules", "error", cause="never fires", fix="odoo_rules install")
def a_rule_is_archived(setup: Setup) -> None:
    setup.simulator.write("base.automation", setup.rules()[:1], {"active": False})


@broken("odoo.rules", "error", cause="hides changes from us", fix="odoo_rules install")
def a_rule_has_a_condition(setup: Setup) -> None:
    condition = {"filter_domain": "[('state', '=', 'purchase')]"}
    setup.simulator.write("base.automation", setup.rules()[:1], condition)


@broken("odoo.rules", "error", cause="watches other fields", fix="odoo_rules install")
def a_rule_watches_too_little(setup: Setup) -> None:
    rule = setup.simulator.store.get("base.automation", setup.rules()[0])
    assert rule is not None
    removed = {"trigger_field_ids": [(3, rule["trigger_field_ids"][0])]}
    setup.simulator.write("base.automation", setup.rules()[:1], removed)


@broken("odoo.rules", "warning", cause="watches other fields", fix="odoo_rules install")
def a_rule_watches_everything(setup: Setup) -> None:
    everything = {"trigger": "on_create_or_write", "trigger_field_ids": [(5,)]}
    setup.simulator.write("base.automation", setup.rules()[:1], everything)


@broken("odoo.rules", "error", cause="another address: https://old", fix="odoo_rules install")
def the_rules_call_an_older_address(setup: Setup) -> None:
    url = "https://odoo:first-test-secret@old.example.com/odoo/webhook/?event=changed"
    setup.simulator.write("ir.actions.server", [setup.first_action()], {"webhook_url": url})


@broken("odoo.rules", "error", cause="another secret", fix="odoo_rules install")
def the_rules_have_a_secret_that_we_refuse(setup: Setup) -> None:
    setup.settings.ODOO_WEBHOOK_SECRETS = ["a-wholly-new-secret"]


@broken("odoo.rules", "warning", cause="another secret", fix="odoo_rules install")
def the_secret_is_being_changed(setup: Setup) -> None:
    setup.settings.ODOO_WEBHOOK_SECRETS = ["a-wholly-new-secret", "first-test-secret"]


@broken("odoo.rules", "warning", cause="reported twice", fix="Remove it in Odoo")
def a_rule_made_by_hand_calls_us_too(setup: Setup) -> None:
    setup.simulator.install_rules(f"{setup.settings.PUBLIC_URL}/odoo/webhook/", secret="x")


@broken("odoo.rules", "error", cause="no automation rules", fix="base_automation")
def the_module_is_not_installed(setup: Setup) -> None:
    del setup.simulator.models["base.automation"]


@broken("odoo.rules", "error", cause="no webhook actions", fix="SYNC_POLL_SECONDS")
def odoo_is_too_old_for_webhooks(setup: Setup) -> None:
    setup.simulator.service.version = 16
    setup.simulator.faults.drop_field("ir.actions.server", "webhook_url")


@broken("workers", "error", cause="no worker is running", fix="rundramatiq")
def the_workers_are_dead(setup: Setup) -> None:
    ago = Now() - timedelta(minutes=20)
    Heartbeat.objects.filter(kind=Heartbeat.Kind.WORKER).update(at=ago)


@broken("scheduler", "error", cause="no scheduler is running", fix="manage.py scheduler")
def there_is_no_scheduler(setup: Setup) -> None:
    Heartbeat.objects.filter(kind=Heartbeat.Kind.SCHEDULER).delete()


@broken("runs", "warning", cause="no run yet", fix="sync_BcLinbc")
def nothing_was_ever_loaded(setup: Setup) -> None:
    SyncLog.objects.all().delete()


@broken("runs", "warning", cause="complete up to", fix="scheduler")
def the_nights_are_missed(setup: Setup) -> None:
    SyncState.objects.update(last_sync=datetime.now(UTC) - timedelta(days=2))


@broken("runs", "error", cause="Odoo was away", fix="sync_BcLinbc")
def the_last_run_failed(setup: Setup) -> None:
    SyncLog.objects.update(status=SyncLog.Status.FAILED, error="Odoo was away\nmore")


@broken("runs", "error", cause="seem gone", fix="--force")
def the_brake_holds(setup: Setup) -> None:
    SyncLog.objects.update(status=SyncLog.Status.BRAKED, error="40 orders seem gone")


@broken("backlog", "warning", cause="1 order has failed", fix="pending orders")
def an_order_was_given_up(setup: Setup) -> None:
    failed(4)


@broken("backlog", "warning", cause="1 order is on hold", fix="--force")
def an_order_is_held(setup: Setup) -> None:
    pending(5, held_reason="brake")


@broken("backlog", "warning", cause="the oldest for 10 min", fix="workers")
def orders_wait_for_long(setup: Setup) -> None:
    pending(6, age=630)


@broken("breaker", "warning", cause="no route to Odoo", fix="try again by themselves")
def workers_leave_odoo_alone(setup: Setup) -> None:
    circuit_breaker.record_failure(verbatim("no route to Odoo"), probing=False)


@broken("alerts", "warning", cause="a field vanished", fix="once its cause is gone")
def an_alert_is_open(setup: Setup) -> None:
    alert("fields", verbatim("A field vanished"), verbatim("a field vanished from Odoo"))


@broken("mail", "error", cause="can't be reached", fix="EMAIL_URL")
def the_mail_server_is_away(setup: Setup) -> None:
    setup.settings.EMAIL_PORT = free_port()


@broken("mail", "warning", cause="alerts reach nobody", fix="ALERT_EMAILS")
def nobody_gets_alerts(setup: Setup) -> None:
    setup.settings.ALERT_EMAILS = []


@broken("alert urls", "error", cause="ALERT_URLS 2 can't be used", fix="send_test_alert")
def an_alert_url_is_misspelt(setup: Setup) -> None:
    setup.settings.ALERT_URLS = ["json://example.com/hook", "slak://not the password"]


@broken("settings", "error", cause="bc.E050", fix="apprise")
def an_alert_url_can_not_be_used(setup: Setup) -> None:
    setup.settings.ALERT_URLS = ["slack://not the password"]


@broken("heartbeat url", "warning", cause="it is never called", fix="SYNC_NIGHTLY_AT")
def a_monitor_waits_for_nights_that_never_come(setup: Setup) -> None:
    setup.settings.HEARTBEAT_URL, setup.settings.SYNC_NIGHTLY_AT = "https://hc.example.com/x", None


@broken("settings", "error", cause="bc.E002", fix="LEASE_SECONDS")
def a_setting_contradicts_another(setup: Setup) -> None:
    setup.settings.LEASE_SECONDS = 10
