"""Checks of RabbitMQ: reachable, queues as expected, accepting messages, and being consumed.

Each check uses a connection of its own and closes it at the end, so that no worker is disturbed.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dramatiq
from django.conf import settings
from django.db import Error as DatabaseFailure
from dramatiq.common import dq_name
from pika.exceptions import (
    AMQPError,
    ChannelClosedByBroker,
    ConnectionBlockedTimeout,
    ConnectionClosedByBroker,
    NackError,
    UnroutableError,
)

from bc_consumer.core.translatable import gettext as _
from bc_consumer.doctor.findings import Check, Finding, error, ok, warning
from bc_consumer.messaging.broker import Broker
from bc_consumer.messaging.publisher import FAILURES, FALLBACK_QUEUE, UNDECODABLE_QUEUE
from bc_consumer.messaging.queue_counts import QueueCount, count_messages, short_connection
from bc_consumer.operations import heartbeats

SECONDS = 3.0
NOT_FOUND, PRECONDITION_FAILED = 404, 406

RABBITMQ = "rabbitmq"
Queue = tuple[str, dict[str, Any]]


def rabbitmq_checks() -> list[Check]:
    """Return the checks; a single one where ids travel in memory."""
    if not settings.RABBITMQ_URL:
        return [Check(RABBITMQ, _("RabbitMQ"), _unused)]
    return [
        Check(RABBITMQ, _("RabbitMQ"), _connection),
        Check("rabbitmq.queues", _("Queues"), _queues, needs=(RABBITMQ,)),
        Check("rabbitmq.publishing", _("Publishing"), _publishing, needs=(RABBITMQ,)),
        Check("rabbitmq.consumers", _("Consumers"), _consumers, needs=(RABBITMQ,)),
        Check("rabbitmq.fallback", _("Stored events"), _fallback, needs=(RABBITMQ,)),
    ]


def _unused() -> Iterator[Finding]:
    try:
        processes = heartbeats.count_processes()
    except DatabaseFailure:
        processes = 0  # the database's own check tells
    if processes > 1:
        yield warning(
            _(
                "not used, but %(count)d processes are running: they exchange no messages",
                count=processes,
            ),
            _("Set RABBITMQ_URL. Without it each process looks once a second for what is due."),
        )
    else:
        yield ok(_("not used: ids stay in the memory of one process"))


@contextmanager
def _channel() -> Iterator[Any]:
    broker = dramatiq.get_broker()
    assert isinstance(broker, Broker)  # noqa: S101 (these checks are only given with RABBITMQ_URL)
    with short_connection(SECONDS) as connection:
        yield connection.channel()


def _connection() -> Iterator[Finding]:
    try:
        with _channel():
            pass
    except (*FAILURES, ValueError) as problem:
        yield error(_said(problem), _connection_fix(problem))
    else:
        yield ok(_("it accepts our login"))


def _connection_fix(problem: Exception) -> str:
    causes = _causes(problem)
    text = " ".join(map(repr, causes))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return _("Correct the host's name in RABBITMQ_URL.")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return _("Is RabbitMQ running there? Correct host and port in RABBITMQ_URL.")
    if any(word in text for word in ("ACCESS_REFUSED", "Authentication")):
        return _("Correct user and password in RABBITMQ_URL.")
    if any(word in text for word in ("NOT_ALLOWED", "AccessDenied", "vhost")):
        return _(
            "Create the virtual host and give the user rights on it (rabbitmqctl add_vhost, "
            'set_permissions), or correct it in RABBITMQ_URL; %%2F is the vhost "/".',
            vhost="/",  # values turn %% into %
        )
    if any(word in text for word in ("Incompatible", "StreamLost", "SSL")):
        return _("Something else answers there: correct the port, and amqp:// or amqps://.")
    return _("Check RABBITMQ_URL: host, port, user, password, vhost; and the firewall.")


def _causes(problem: BaseException) -> list[BaseException]:
    """Return an error with those nested in it: pika wraps them."""
    causes: list[BaseException] = []
    left: list[Any] = [problem]
    while left and len(causes) < 10:
        cause = left.pop()
        if isinstance(cause, BaseException) and cause not in causes:
            causes.append(cause)
            left += [cause.__cause__, cause.__context__, *cause.args]
            left.append(getattr(cause, "exception", None))
            left += getattr(cause, "exceptions", None) or []
    return causes


def _said(problem: Exception) -> str:
    texts = [str(cause) for cause in _causes(problem) if str(cause)]
    kind = type(problem).__name__
    return f"{kind}: {texts[0]}" if texts else kind


def _queues() -> Iterator[Finding]:
    """Redeclare the existing queues as we would: RabbitMQ refuses if their arguments differ."""
    absent = []
    for name, arguments in _wanted_queues():
        try:
            with _channel() as channel:
                channel.queue_declare(name, passive=True)
                channel.queue_declare(name, durable=True, arguments=arguments)
        except ChannelClosedByBroker as problem:
            if problem.reply_code == NOT_FOUND:
                absent.append(name)
            elif problem.reply_code == PRECONDITION_FAILED:
                yield error(
                    _(
                        "queue %(queue)s exists with other arguments: %(text)s",
                        queue=name,
                        text=problem.reply_text,
                    ),
                    _(
                        "Set a new name in RABBITMQ_QUEUE (RabbitMQ never changes a queue), or "
                        "set RABBITMQ_QUORUM back; docs/operations/rabbitmq.md, "
                        '"Another type of queue".'
                    ),
                )
            else:
                yield error(_said(problem), _("Give the user rights on queues of that name."))
    if absent:
        yield warning(
            _("not there yet: %(queues)s", queues=", ".join(absent)),
            _("The first worker creates them: start one."),
        )
    else:
        yield ok(", ".join(name for name, _arguments in _wanted_queues()))


def _wanted_queues() -> list[Queue]:
    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        return []
    name = settings.RABBITMQ_QUEUE
    arguments = broker._build_queue_arguments(name)
    return [
        (name, arguments),
        (dq_name(name), arguments),
        (FALLBACK_QUEUE, broker.plain_queue_arguments()),
    ]


def _publishing() -> Iterator[Finding]:
    """Publish to an exclusive queue of our own; an alarm of the broker blocks that."""
    try:
        with _channel() as channel:
            channel.confirm_delivery()
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.basic_publish("", queue, b"doctor", mandatory=True)
    except ConnectionBlockedTimeout:
        yield error(
            _("RabbitMQ accepts no messages: a memory or disk alarm is active"),
            _("Free memory or disk there (rabbitmqctl status says which); events wait meanwhile."),
        )
    except (ConnectionClosedByBroker, ChannelClosedByBroker, NackError, UnroutableError) as problem:
        yield error(_said(problem), _("Give the user the right to write and configure."))
    except AMQPError as problem:
        yield error(_said(problem), _("See RabbitMQ's log."))
    else:
        yield ok(_("a message was confirmed"))


def _counts(name: str) -> QueueCount | None:
    """Return what a queue holds; None if there is no such queue."""
    return count_messages([name], SECONDS).get(name)


def _consumers() -> Iterator[Finding]:
    counts = _counts(settings.RABBITMQ_QUEUE)
    if counts is None or counts.consumers == 0:
        yield error(
            _("queue %(queue)s has no consumers", queue=settings.RABBITMQ_QUEUE),
            _("Start a worker: manage.py rundramatiq (with the same RABBITMQ_QUEUE)."),
        )
        return
    yield ok(
        _(
            "consumers: %(consumers)d, messages waiting: %(messages)d",
            consumers=counts.consumers,
            messages=counts.messages,
        )
    )


def _fallback() -> Iterator[Finding]:
    """Check for events stored while the database was away, and for those that could not be read."""
    stored, undecodable = _counts(FALLBACK_QUEUE), _counts(UNDECODABLE_QUEUE)
    if undecodable is not None and undecodable.messages:
        yield warning(
            _(
                "%(count)d messages in %(queue)s can't be read as events",
                count=undecodable.messages,
                queue=UNDECODABLE_QUEUE,
            ),
            _(
                'Bring them in with "manage.py replay --dead-letters"; '
                "see docs/operations/runbook.md."
            ),
        )
    if stored is not None and stored.messages:
        yield warning(
            _(
                "%(count)d events are waiting in %(queue)s",
                count=stored.messages,
                queue=FALLBACK_QUEUE,
            ),
            _("Workers import them as soon as the database answers: is one running?"),
        )
    else:
        yield ok(_("none are waiting"))
