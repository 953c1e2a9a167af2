"""What ``replay`` says, in the active language."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from bc_consumer.console.formatting import moment, number, shortened
from bc_consumer.core.translatable_field import said
from bc_consumer.management.exits import Exit
from bc_consumer.operations.dead_letters import Imported
from bc_consumer.operations.failed_orders import Group

ERROR_CHARACTERS = 300


def description() -> str:
    """Say what the command is for."""
    return _(
        "Shows the orders that could not be copied, by cause, and has those chosen read again:\n"
        "behind everything more urgent, and together, so that thousands of them neither flood\n"
        "Odoo nor hold webhooks up. An order that is fine meanwhile is read once more, and\n"
        "nothing changes. Workers do the work; nothing waits for it here."
    )


def exit_codes() -> str:
    """Return the table of exit codes."""
    meanings = {
        Exit.OK: _("done, or nothing to do"),
        Exit.FAILED: _("nothing was changed on request, or the database or RabbitMQ is away"),
        Exit.USAGE: _("wrong options, nothing chosen, or nobody there to be asked"),
        Exit.INTERRUPTED: _("interrupted (Ctrl-C); what was marked stays marked"),
    }
    rows = [f"  {int(code):>3}  {meaning}" for code, meaning in meanings.items()]
    return "\n".join([_("Exit codes:"), *rows])


def group_facts(group: Group) -> dict[str, Any]:
    """Return a group for the JSON object."""
    return {
        "cause": group.failure,
        "error_class": group.error_class,
        "count": group.count,
        "first_at": group.first_at.isoformat(),
        "last_at": group.last_at.isoformat(),
        "example": group.example,
        "error": group.example_error,
    }


def shown(
    groups: Sequence[Group], count: int, waiting: Mapping[str, int], not_failed: Sequence[int]
) -> str:
    """Show the groups with their counts, then the messages kept aside."""
    lines = []
    for group in groups:
        since = f"{moment(group.first_at)} – {moment(group.last_at)}"
        lines.append(f"{number(group.count):>8}  {group.error_class}  {since}")
        error = shortened(said(group.example_error), ERROR_CHARACTERS)
        lines.append(" " * 10 + _("BC %(id)s: %(error)s") % {"id": group.example, "error": error})
    if groups:
        text = ngettext("%(count)s failed order.", "%(count)s failed orders.", count)
        lines.append(text % {"count": number(count)})
    elif not any(waiting.values()):
        lines.append(_("No such failed orders."))
    if not_failed:
        text = _("Not failed, so there is nothing to replay: BC %(ids)s")
        lines.append(text % {"ids": ", ".join(map(str, not_failed))})
    lines += [f"{number(found):>8}  {queue}" for queue, found in waiting.items()]
    return "\n".join(lines)


def choose() -> str:
    """Say that nothing was chosen."""
    return _(
        "Nothing was changed. Say which: --all, --error CLASS_OR_TEXT, --since WHEN, --bc ID …"
    )


def question(count: int, waiting: Mapping[str, int]) -> str:
    """Ask whether to go on."""
    messages = sum(waiting.values())
    if not messages:
        text = ngettext(
            "Read %(count)s order again? [y/N]", "Read %(count)s orders again? [y/N]", count
        )
        return text % {"count": number(count)}
    return _("Read %(count)s orders again, and bring in %(messages)s messages? [y/N]") % {
        "count": number(count),
        "messages": number(messages),
    }


def done(replayed: int, brought: Imported) -> str:
    """Say what was done."""
    lines = []
    if replayed:
        text = ngettext(
            "%(count)s order is marked: workers read it in a moment.",
            "%(count)s orders are marked: workers read them in a moment.",
            replayed,
        )
        lines.append(text % {"count": number(replayed)})
    if brought.orders:
        text = ngettext(
            "%(count)s order of dead letters is marked.",
            "%(count)s orders of dead letters are marked.",
            brought.orders,
        )
        lines.append(text % {"count": number(brought.orders)})
    if brought.kept:
        text = ngettext(
            '%(count)s message names no order: see "dead letters" in the administration.',
            '%(count)s messages name no order: see "dead letters" in the administration.',
            brought.kept,
        )
        lines.append(text % {"count": number(brought.kept)})
    return "\n".join(lines)


def rabbitmq_failed(error: Exception) -> str:
    """Say that RabbitMQ is away."""
    return _(
        "RabbitMQ is away: %(error)s\nWhat was not brought in is still there; run this again when"
        " it is back."
    ) % {"error": repr(error)}


def database_failed(error: Exception) -> str:
    """Say that our own database is away."""
    return _("The database failed: %(error)s\nNothing is lost; run this again when it is back.") % {
        "error": str(error).strip()
    }
