"""No secret is in anything that a deployment leaves behind, in good weather and in bad.

All that it writes, answers, mails and stores is searched for every secret that it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import pika
import psycopg2
import pytest

from odoo_simulator import Simulator
from odoo_simulator.rpc_services import User
from tests.conftest import Deploy
from tests.flow.evidence import AROUND, Evidence, MailServer, Secret
from tests.harness import Answer, Deployment
from tests.services.gate import Gate
from tests.services.postgres import Database
from tests.services.rabbitmq import RabbitMQ

LINES = [{"name": "A shelf", "product_qty": 2}]
SIMPLER = {
    "chat": "",
    "monitor": "",
    "webhook": "",
    "second webhook": "",
    "typed": "",
    "metrics": "",
    "mail": "'&</+% ",
}
"""What may hold no comma, stands in a form, or has to be ASCII."""


def with_login(url: str, user: str, secret: Secret) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    login = f"{user}:{quote(secret.value, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{host}"))


@dataclass(slots=True)
class Scene:
    """A deployment with a secret in each place for one, and all that was seen of it."""

    secrets: dict[str, Secret]
    evidence: Evidence
    deployment: Deployment
    odoo: Simulator
    mail: MailServer
    to_postgres: Gate
    to_rabbitmq: Gate

    def saw(self, what: str, answer: Answer) -> Answer:
        headers = {name: value for name, value in answer.headers.items() if name != "set-cookie"}
        self.evidence.add(f"answer {what}", f"{headers}\n{answer.body.decode()}")
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.saw(f"to GET {path}", self.deployment.get(path, headers))

    def post(self, what: str, payload: Any, **options: Any) -> Answer:
        return self.saw(f"to {what}", self.deployment.post(payload, **options))

    def manage(self, *arguments: str, **changed: str) -> str:
        """Run a command, whatever its exit code; ``changed`` are settings for it alone."""
        before = dict(self.deployment.environment)
        self.deployment.environment |= changed
        try:
            done = self.deployment.manage(*arguments, check=False)
        finally:
            self.deployment.environment = before
        self.evidence.add(f"output of {arguments} {sorted(changed)}", done.stdout + done.stderr)
        return done.stdout + done.stderr

    def failed_orders(self) -> int:
        rows = "SELECT count(*) FROM bc_consumer_pendingbc WHERE failed_at IS NOT NULL"
        return int(self.deployment.sql(rows)[0][0])

    def reason_of_pause(self) -> str:
        return str(self.deployment.sql("SELECT reason FROM bc_consumer_pace")[0][0])


@pytest.fixture
def hidden() -> dict[str, Secret]:
    names = "Odoo, Odoo's administrator, Odoo's proxy, PostgreSQL, RabbitMQ, mail, SECRET_KEY"
    names += ", webhook, second webhook, typed, proxy, wrong, chat, monitor, metrics"
    return {name: Secret.new(SIMPLER.get(name, AROUND)) for name in names.split(", ")}


@pytest.fixture
def database_url(flow_database: Database, hidden: dict[str, Secret]) -> Iterator[str]:
    """The database, for an account whose password is a secret."""
    role, secret = f"role_{token_hex(4)}", hidden["PostgreSQL"]
    connection = psycopg2.connect(flow_database.url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE ROLE "{role}" SUPERUSER LOGIN PASSWORD %s', [secret.value])
        yield with_login(flow_database.url, role, secret)
        cursor.execute(f'DROP OWNED BY "{role}" CASCADE')
        cursor.execute(f'DROP ROLE "{role}"')
    connection.close()


@pytest.fixture
def rabbitmq_url(rabbitmq: RabbitMQ, hidden: dict[str, Secret]) -> Iterator[str]:
    """A virtual host, for an account whose password is a secret."""
    user, vhost = f"user_{token_hex(4)}", rabbitmq.new_vhost()
    rabbitmq.ctl("add_user", user, hidden["RabbitMQ"].value)
    rabbitmq.ctl("set_permissions", "-p", vhost, user, ".*", ".*", ".*")
    yield with_login(rabbitmq.url(vhost), user, hidden["RabbitMQ"])
    rabbitmq.ctl("delete_user", user)


def settings_of(hidden: Mapping[str, Secret], mail: MailServer) -> dict[str, str]:
    return {
        "SECRET_KEY": hidden["SECRET_KEY"].value * 2,
        "ODOO_PASSWORD": hidden["Odoo"].value,
        "ODOO_ADMIN_LOGIN": "chief",
        "ODOO_ADMIN_PASSWORD": hidden["Odoo's administrator"].value,
        "ODOO_WEBHOOK_SECRETS": f"{hidden['webhook'].value},{hidden['second webhook'].value}",
        "ODOO_WEBHOOK_TIMING": "committed",
        "METRICS_TOKEN": hidden["metrics"].value,
        "EMAIL_URL": f"smtp://us:{quote(hidden['mail'].value, safe='')}@127.0.0.1:{mail.port}",
        "ALERT_EMAILS": "somebody@example.com",
        "ALERT_URLS": f"json://127.0.0.1:1/{hidden['chat'].value}",
        "HEARTBEAT_URL": f"http://127.0.0.1:1/{hidden['monitor'].value}",
        "ALERT_ODOO_AWAY_SECONDS": "0",
        "MAX_ATTEMPTS": "1",
        "SWEEP_SECONDS": "0.2",
    }


@contextmanager
def scene(
    deploy: Deploy,
    hidden: dict[str, Secret],
    urls: tuple[str, str],
    gates: tuple[Gate, Gate],
    *,
    version: int = 17,
    **settings: str,
) -> Iterator[Scene]:
    key = hidden["Odoo"].value
    with MailServer() as mail, Simulator(version, password=key, api_keys=(key,)) as odoo:
        odoo.add_user("chief", hidden["Odoo's administrator"].value, [1])
        deployment = deploy(
            settings=settings_of(hidden, mail) | settings,
            database_url=gates[0].rewrite(urls[0]),
            rabbitmq_url=gates[1].rewrite(urls[1]),
            # A key travels where a proxy's credentials would.
            odoo_url=odoo.url
            if settings.get("ODOO_TRANSPORT") == "json2"
            else with_login(odoo.url, "front", hidden["Odoo's proxy"]),
        )
        deployment.secret = hidden["webhook"].value
        deployment.environment["PUBLIC_URL"] = deployment.base_url
        yield Scene(hidden, Evidence(), deployment, odoo, mail, *gates)


@pytest.fixture
def urls(database_url: str, rabbitmq_url: str) -> tuple[str, str]:
    return database_url, rabbitmq_url


@pytest.fixture
def gates(gate_to_postgres: Gate, gate_to_rabbitmq: Gate) -> tuple[Gate, Gate]:
    return gate_to_postgres, gate_to_rabbitmq


@pytest.mark.timeout(400)
def test_secrets_are_in_nothing_that_a_deployment_leaves(
    deploy: Deploy, hidden: dict[str, Secret], urls: tuple[str, str], gates: tuple[Gate, Gate]
) -> None:
    with scene(deploy, hidden, urls, gates) as one:
        one.deployment.start(by_manage=True)
        rules_are_installed_and_orders_arrive(one)
        callers_do_it_wrong(one)
        odoo_repeats_what_it_was_sent(one)
        odoo_refuses_us(one)
        mail_is_refused(one)
        cookies = staff_logs_in(one)
        servers_go_away(one, cookies)
        messages_nobody_can_read(one)
        commands_meet_wrong_settings(one)
        staff_sets_up_the_rules(one, cookies)
        staff_looks_at_everything(one, cookies)
        for process in (one.deployment.web, one.deployment.scheduler, *one.deployment.workers):
            assert process is not None
            one.evidence.add_arguments(process.pid)
        all_is_gathered(one, urls[0])
        everything_was_there(one.evidence)
        check(one)


@pytest.mark.timeout(200)
def test_secrets_of_json_2_are_in_nothing_either(
    deploy: Deploy, hidden: dict[str, Secret], urls: tuple[str, str], gates: tuple[Gate, Gate]
) -> None:
    hidden["Odoo"] = Secret.new("")  # a key, which is letters and digits
    with scene(deploy, hidden, urls, gates, version=19, ODOO_TRANSPORT="json2") as one:
        one.deployment.start(by_manage=True)
        rules_are_installed_and_orders_arrive(one)
        odoo_repeats_what_it_was_sent(one)
        odoo_refuses_us(one)
        all_is_gathered(one, urls[0])
        assert "while doing" in one.evidence.texts["table bc_consumer_pendingbc"]
        check(one)


def all_is_gathered(one: Scene, database_url: str) -> None:
    one.evidence.add("mails", "\n".join(one.mail.mails))
    one.evidence.add("logs", one.deployment.logs())
    # The secret of a session is this table's content.
    one.evidence.add_tables(database_url, but=("django_session",))


def check(one: Scene) -> None:
    spilled = one.evidence.spilled(one.secrets)
    report = "\n".join(f"--- {what}: {around!r}" for what, around in spilled.items())
    assert not spilled, f"secrets were found:\n{report}"


def rules_are_installed_and_orders_arrive(one: Scene) -> None:
    one.manage("odoo_rules", "install", "--json", "-v", "3")
    one.manage("odoo_rules", "status")
    order = one.odoo.create_order(lines=LINES, partner_ref="in good weather")
    found = "SELECT count(*) FROM bc_consumer_bc WHERE odoo_id = %s"
    one.deployment.wait_until(lambda: one.deployment.sql(found, order)[0][0], what="the order")
    one.manage("sync_BcLinbc", "--json")


def callers_do_it_wrong(one: Scene) -> None:
    secret, order = one.secrets["webhook"].value, {"_model": "purchase.order", "_id": 1}
    at = "/odoo/webhook/"
    one.post("a wrong secret", order, secret=one.secrets["wrong"].value)
    one.post("a secret in the query", order, path=f"{at}?secret={secret}", secret="")
    for path in (f"/odoo/webhook/{secret}", f"/odoo/{secret}/", f"/bc/1/?token={secret}"):
        # Whoever sent it sees its own address in the answer: that is no spill.
        one.deployment.post(order, path=path)
    for what, body, headers in (
        ("no JSON", secret.encode(), {}),
        ("another model", {"_model": secret, "_id": 1}, {}),
        ("no id", {"_model": "purchase.order", "_id": secret}, {}),
        ("a large body", secret.encode() * 20_000, {}),
        ("another type", order, {"Content-Type": "text/plain"}),
        ("another host", order, {"Host": f"{secret}.example.com"}),
    ):
        answer = one.deployment.post(body, headers=headers)
        assert 400 <= answer.status < 500, what
    token = one.secrets["metrics"].value
    assert one.get(f"/metrics?token={token}").status == 401
    assert one.get("/metrics", Authorization=f"Basic {token}").status == 401


def odoo_repeats_what_it_was_sent(one: Scene) -> None:
    one.odoo.faults.echo()
    bad = one.odoo.create_order(lines=LINES)
    one.odoo.faults.poison(bad, text="ValueError: bad")
    one.odoo.write_order(bad, {"partner_ref": "poisoned"})
    one.deployment.wait_until(one.failed_orders, what="the failed order")
    spoiled = f"at http://odoo:{one.secrets['webhook'].value}@host/"
    one.post("a payload", {"_model": "purchase.order", "_id": bad, "name": spoiled})
    one.deployment.wait_until(one.failed_orders, what="the order to fail again")
    one.manage("replay", "--all", "--dry-run")
    one.odoo.faults.fault_all(1, "psycopg2.OperationalError: away")
    one.post("an event meanwhile", {"_model": "purchase.order", "_id": 1})
    one.deployment.wait_until(one.reason_of_pause, what="the pause")
    for command in ("doctor", "odoo_rules status", "odoo_fields", "sync_BcLinbc --json -v 3"):
        one.manage(*command.split())
    one.odoo.faults.clear()
    one.odoo.faults.echo()
    one.odoo.faults.http_status(502)
    one.manage("doctor", "--json", "-v", "2")
    one.odoo.faults.clear()


def odoo_refuses_us(one: Scene) -> None:
    service = one.odoo.service
    known, keys = dict(service.users), service.keys
    service.users[2] = User(2, "admin", "another password")
    service.keys = type(keys)()
    one.odoo.faults.echo()
    one.post("an event meanwhile", {"_model": "purchase.order", "_id": 1})
    refused = "SELECT count(*) FROM bc_consumer_alert WHERE key = 'odoo refuses'"
    one.deployment.wait_until(lambda: one.deployment.sql(refused)[0][0], what="the alert")
    one.manage("odoo_rules", "status", "--login", "admin", "--password-from-env", "TYPED",
               TYPED=one.secrets["typed"].value)  # fmt: skip
    service.users.update(known)
    service.keys = keys
    one.odoo.faults.clear()
    one.deployment.sql("UPDATE bc_consumer_pace SET paused_since = NULL, next_claim_at = now()")
    one.deployment.wait_drained()


def mail_is_refused(one: Scene) -> None:
    one.mail.refuse = True
    said = one.manage(
        "shell", "-c", "from bc_consumer.operations.alerts import alert; alert('x', 'y', 'z')"
    )
    assert "could not be sent by ALERT_EMAILS" in said
    assert "could not be sent by ALERT_URLS 1 (json://127.0.0.1)" in said
    one.manage("send_test_alert")
    one.manage("alerts")
    one.mail.refuse = False


def servers_go_away(one: Scene, cookies: str) -> None:
    order = {"_model": "purchase.order", "_id": 1}
    one.to_postgres.refuse()
    kept = one.post("an event without PostgreSQL", order).json()["kept_in"]
    assert kept == "queue"
    with_secret = order | {"name": one.secrets["second webhook"].value}
    one.post("an event with a secret, without PostgreSQL", with_secret)
    one.evidence.add("messages", messages(one, ".fallback"))
    assert one.get("/", Cookie=cookies).status == 503
    one.get("/readyz")
    one.get("/status.json")
    token = one.secrets["metrics"].value
    assert one.get("/metrics", Authorization=f"Bearer {token}").status == 200
    one.manage("sync_BcLinbc", "--traceback")
    one.to_rabbitmq.refuse()
    assert one.post("an event without either", order).status == 503
    one.manage("doctor", "-v", "2")
    one.to_postgres.open()
    one.manage("replay", "--dead-letters", "--traceback")
    one.to_rabbitmq.open()


def messages(one: Scene, queue: str, body: bytes = b"") -> str:
    """Return what is in one of the queues; put ``body`` there before."""
    url = pika.URLParameters(one.deployment.environment["RABBITMQ_URL"])
    name = one.deployment.environment["RABBITMQ_QUEUE"] + queue
    found = []
    with pika.BlockingConnection(url) as connection:
        channel = connection.channel()
        if body:
            channel.basic_publish("", name, body)
            return ""
        while (message := channel.basic_get(name))[0] is not None:
            found.append(str(message[2]))
    return "\n".join(found)  # unacked, so they go back


def messages_nobody_can_read(one: Scene) -> None:
    spoiled = f"no event: http://odoo:{one.secrets['webhook'].value}@host/".encode()
    messages(one, ".fallback.undecodable", spoiled)
    one.manage("replay", "--dead-letters", "--yes")
    one.deployment.wait_drained()


def commands_meet_wrong_settings(one: Scene) -> None:
    wrong, environment = one.secrets["wrong"], one.deployment.environment
    proxy = with_login("http://127.0.0.1:1", "us", one.secrets["proxy"])
    urls = ("DATABASE_URL", "RABBITMQ_URL", "ODOO_URL", "EMAIL_URL")
    logins = {name: str(urlsplit(environment[name]).username) for name in urls}
    refused = {name: with_login(environment[name], logins[name], wrong) for name in urls}
    one.manage("doctor", "-v", "2", **refused)
    one.manage("sync_BcLinbc", "--traceback", **refused)
    one.manage("doctor", "--webhook", ODOO_WEBHOOK_SECRETS=wrong.core, http_proxy=proxy)
    one.manage("odoo_rules", "install", PUBLIC_URL=f"http://odoo:{wrong.core}@127.0.0.1:1/")
    unquoted = f"amqp://us:{wrong.core}/x@127.0.0.1:1/"
    assert "can't be read" in one.manage("check", RABBITMQ_URL=unquoted)


def staff_logs_in(one: Scene) -> str:
    """Make an account and log in; return the cookies, of which the session's is a secret too."""
    one.manage("createsuperuser", "--no-input", DJANGO_SUPERUSER_USERNAME="chief",
               DJANGO_SUPERUSER_EMAIL="a@example.com",
               DJANGO_SUPERUSER_PASSWORD=one.secrets["typed"].value)  # fmt: skip
    cookies = login(one.deployment, one.secrets["typed"].value)
    session = re.search(r"sessionid=(\w+)", cookies)
    assert session is not None
    one.secrets["session"] = Secret(session[1], session[1])
    return cookies


def staff_sets_up_the_rules(one: Scene, cookies: str) -> None:
    """Type an administrator's password into a page: it is right, wrong, repeated by Odoo."""
    secret, users = one.secrets["typed"].value, one.odoo.service.users
    token = re.search(r"csrftoken=(\w+)", cookies)
    assert token is not None
    users[9] = User(9, "boss", secret)
    for what, fault in (("status", ""), ("install", ""), ("rotate", ""), ("status", "wrong"),
                        ("install", "echo"), ("status", "database")):  # fmt: skip
        if fault == "wrong":
            users[9] = User(9, "boss", "another password")
        elif fault == "echo":
            one.odoo.faults.echo()
            one.odoo.faults.http_status(502)
        elif fault == "database":
            one.to_postgres.refuse()
        form = {
            "csrfmiddlewaretoken": token[1], "what": what, "login": "boss", "password": secret,
        }  # fmt: skip
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookies}
        body = urlencode(form).encode()
        answer = one.deployment.request("POST", "/connections/rules/ask/", body, headers)
        shown = one.saw(f"to the form of the rules, {what} {fault}", answer)
        assert shown.status == (503 if fault == "database" else 200 if what == "rotate" else 302)
        one.odoo.faults.clear()
        one.to_postgres.open()
        one.get("/connections/rules/", Cookie=cookies)
    kinds = one.deployment.sql("SELECT kind FROM bc_consumer_operatoraction WHERE kind = 'rules'")
    assert len(kinds) == 5
    del users[9]


def staff_looks_at_everything(one: Scene, cookies: str) -> None:
    models = ("pendingbc", "synclog", "alert", "journalentry", "deadletter", "bc", "pace")
    sections = ("orders", "failures", "runs", "connections", "settings", "actions")
    pages = ("/", "/today/", "/bc/1/", *(f"/{section}/" for section in sections))
    for path in (*pages, *(f"/admin/bc_consumer/{name}/" for name in models)):
        page = one.get(path, Cookie=cookies)
        links = re.findall(r'href="(/admin/bc_consumer/\w+/\d+/change/)', page.body.decode())
        for link in set(links[:20]):
            one.get(link, Cookie=cookies)


def login(deployment: Deployment, password: str) -> str:
    """Log in as staff; return the cookies."""
    form = deployment.get("/admin/login/")
    token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', form.body.decode())
    cookie = re.search(r"csrftoken=(\w+)", str(form.headers))
    assert token is not None
    assert cookie is not None
    body = f"csrfmiddlewaretoken={token[1]}&username=chief&password={password}".encode()
    answer = deployment.request(
        "POST", "/admin/login/?next=/admin/", body,
        {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"csrftoken={cookie[1]}"},
    )  # fmt: skip
    assert answer.status == 302
    session = re.search(r"sessionid=\w+", str(answer.headers))
    assert session is not None
    return f"{session[0]}; csrftoken={cookie[1]}"


def everything_was_there(evidence: Evidence) -> None:
    """The bad weather did come, and what it left was looked at."""
    texts = evidence.texts
    assert "while doing" in texts["table bc_consumer_pendingbc"] + texts["table bc_consumer_alert"]
    assert "Traceback" in texts["logs"]
    assert "OperationalError" in texts["logs"]
    assert "webhook refused with 503" in texts["logs"]
    assert "refused login" in texts["mails"] or "refused the API key" in texts["mails"]
    assert "no event: http://odoo:***@host/" in texts["table bc_consumer_deadletter"]
    assert "at http://odoo:***@host/" in texts["table bc_consumer_pendingbc"]
    assert "granian" in texts["arguments of processes"]
    assert any("✗ " in text for text in texts.values()), "what the doctor says"


def test_secrets_are_not_on_error_pages_with_debug(
    deploy: Deploy, hidden: dict[str, Secret], urls: tuple[str, str], gates: tuple[Gate, Gate]
) -> None:
    with scene(deploy, hidden, urls, gates, DEBUG="1") as one:
        one.deployment.start(workers=0, scheduler=False, by_manage=True)
        session = Secret.new("")
        one.secrets["session"] = session
        sent = {
            "Cookie": f"sessionid={session.value}; csrftoken={session.value}",
            "Authorization": f"Bearer {hidden['webhook'].value}",
        }
        one.to_postgres.refuse()
        for path in ("/bc/1/", f"/?secret={hidden['second webhook'].value}", "/admin/"):
            page = one.get(path, **sent)
            assert page.status == 500
            assert b"Local vars" in page.body
            assert b"ODOO_WEBHOOK_SECRETS" in page.body
        one.get("/nowhere/", **sent)
        one.post("an event without PostgreSQL", {"_model": "purchase.order", "_id": 1})
        one.evidence.add("logs", one.deployment.logs())
        check(one)
