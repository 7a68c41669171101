"""`wright event`: what happened, who is told of it, and what came of telling."""

import sys
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from modelwright.cli import event_tables, output
from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.lifecycle.events.subscribing import Introduced
    from modelwright.records import Subscription
    from modelwright.store.database import Store

_HANDLERS = ("--webhook", "--pipeline", "--command", "--email", "--file")
# Which of them an option goes with, by its parameter's name; to others it would mean nothing.
_OPTIONS = {
    "assignments": ("--set", {"--pipeline"}),
    "smtp_server": ("--smtp-server", {"--email"}),
    "smtp_user": ("--smtp-user", {"--email"}),
    "smtp_security": ("--smtp-security", {"--email"}),
    "sender": ("--from", {"--email"}),
    "allow_private": ("--allow-private", {"--webhook", "--email"}),
    "no_handshake": ("--no-handshake", {"--webhook"}),
}
_private_option = click.option(
    "--allow-private", is_flag=True, help="Let it be at an address of this machine or network, and without TLS."
)
_vouch_option = click.option(
    "--no-handshake", is_flag=True, help="Take it from you that the webhook wants events, instead of asking it."
)
_secret_option = click.option(
    "--secret",
    metavar="SECRET",
    help="A webhook's own whsec_…, or the mail server's password; - asks for it, or reads it from a pipe.",
)


@click.group()
def event() -> None:
    """See what happened, let it start something elsewhere, and see whether it did."""


@event.command()
@click.argument("name")
@click.option("--webhook", metavar="URL", help="Post each event to this address.")
@click.option("--pipeline", metavar="NAME[:VERSION]", help="Run this published pipeline, once for each event.")
@click.option("--command", metavar="LINE", help="Run this command here, with the event as its input.")
@click.option("--email", metavar="ADDRESS", multiple=True, help="Mail each event there; repeatable.")
@click.option(
    "--file", metavar="PATH", help="Append a line to this file; or, for FOLDER/, write a file for each event."
)
@click.option(
    "--types", metavar="TYPE,…", multiple=True, help="Which events, as model.registered or run.*; default: all."
)
@click.option(
    "--subject-begins", metavar="TEXT", default="", help="Only of things that are called so, as models/churn."
)
@click.option("--subject-ends", metavar="TEXT", default="", help="Only of things whose name ends so.")
@click.option(
    "--filter",
    "conditions",
    metavar="CONDITION",
    multiple=True,
    help="As 'data.tags.area StringIn diabetes,heart'; at most five, all must hold.",
)
@click.option(
    "--schema",
    type=click.Choice(["cloudevents", "eventgrid"]),
    default="cloudevents",
    help="How events are written down (default: cloudevents).",
)
@click.option(
    "--max-attempts", type=click.IntRange(1, 1000), default=30, help="How often an event is tried (default: 30)."
)
@click.option(
    "--ttl",
    type=click.IntRange(1, 1_000_000),
    metavar="MINUTES",
    default=1440,
    help="And for how long (default: 1440).",
)
@click.option(
    "--timeout", type=click.FloatRange(0.1, 600), metavar="SECONDS", default=30.0, help="For one attempt (default: 30)."
)
@output.set_option
@click.option("--smtp-server", metavar="HOST[:PORT]", default="", help="The mail server.")
@click.option("--smtp-user", metavar="USER", default="", help="Its user; the password is --secret.")
@click.option(
    "--smtp-security",
    type=click.Choice(["starttls", "tls", "none"]),
    help="How it is kept private (default: starttls).",
)
@click.option(
    "--from", "sender", metavar="ADDRESS", default="", help="Whom mail is from; else the user, or who gets it."
)
@_private_option
@_vouch_option
@_secret_option
@output.why_option
@output.json_option
def subscribe(
    name: str, *, conditions: tuple[str, ...], secret: str | None, why: str, as_json: bool, **options: Any
) -> None:
    """Let every event that comes from now on start something; `wright up` delivers events in the background.

    Exactly one of --webhook, --pipeline, --command, --email and --file says what.
    """
    from modelwright import records
    from modelwright.lifecycle import background
    from modelwright.lifecycle.events import filters, subscribing
    from modelwright.records import DeliveryPolicy, Envelope, EventFilter, Subscription, SubscriptionState

    handler = _handler(options)
    types = [each.strip() for text in options["types"] for each in text.split(",") if each.strip()]
    wish = EventFilter(
        tuple(types),
        options["subject_begins"],
        options["subject_ends"],
        tuple(filters.read_condition(each) for each in conditions),
    )
    wanted = Subscription(
        name=name,
        handler=handler,
        target={},
        filter=wish,
        envelope=Envelope(options["schema"]),
        policy=DeliveryPolicy(options["max_attempts"], options["ttl"], options["timeout"]),
        state=SubscriptionState.ACTIVE,
        created_by="",
        created_at=records.now(),
    )
    secret = _secret(secret)
    with output.session(is_silent=as_json, why=why) as session:
        wanted = replace(wanted, target=_target(session.store, handler, options))
        is_running = background.is_running(session.store)
        with output.waiting("asking whether it wants events", is_silent=as_json):
            made = subscribing.subscribe(session, wanted, secret=secret, is_vouched_for=options["no_handshake"])
    if as_json:
        output.show_json({**_told(made.subscription), "greeting": plain(made.greeting), "secret": made.secret})
    else:
        click.echo(f'"{name}" is told of {event_tables.wish(wish)} by {event_tables.place(made.subscription)}')
        _show_introduced(made)
        if not is_running and made.is_welcome:
            click.echo("  next: wright up")
    if not made.is_welcome:
        raise click.exceptions.Exit(1)


@event.command()
@output.json_option
def subscriptions(*, as_json: bool) -> None:
    """List who is told of which events, and how many deliveries are waiting, done and dead."""
    from modelwright.store import deliveries
    from modelwright.store import subscriptions as store_of

    with output.opened_store() as store:
        found = store_of.list_subscriptions(store)
        counts = deliveries.count_deliveries(store)
        unseen = store_of.count_unseen(store)
    if as_json:
        facts = [{"deliveries": counts.get(each.name, {}), "unseen": unseen.get(each.name, 0)} for each in found]
        output.show_json([_told(each) | more for each, more in zip(found, facts, strict=True)])
    else:
        event_tables.show_subscriptions(found, counts)


@event.command()
@click.argument("name")
@output.json_option
def show(name: str, *, as_json: bool) -> None:
    """Show a subscription, or an event by its id: all that it says, and who was told."""
    from modelwright.store import deliveries, events
    from modelwright.store import subscriptions as store_of
    from modelwright.store.deliveries import DeliveryFilter

    with output.opened_store() as store:
        if name.startswith("event_"):
            found = events.get_event(store, name)
            told = deliveries.list_deliveries(store, DeliveryFilter(event_id=name))
            facts = plain(found) | {"deliveries": plain(told)}
            show_it = partial(event_tables.show_event, found, told)
        else:
            subscription = store_of.get_subscription(store, name)
            counts = deliveries.count_deliveries(store).get(name, {})
            latest = deliveries.list_deliveries(store, DeliveryFilter(subscription=name), limit=5)
            facts = _told(subscription) | {"deliveries": counts, "latest": plain(latest)}
            show_it = partial(event_tables.show_subscription, subscription, counts, latest)
    if as_json:
        output.show_json(facts)
    else:
        show_it()


@event.command()
@click.argument("name")
@output.why_option
@output.json_option
def pause(name: str, *, why: str, as_json: bool) -> None:
    """Let a subscriber not be told for a while; what happens meanwhile waits for `wright event resume`."""
    from modelwright.lifecycle.events import subscribing

    with output.session(is_silent=as_json, why=why) as session:
        found = subscribing.pause(session, name)
    if as_json:
        output.show_json(_told(found))
    else:
        click.echo(f'"{name}" is {found.state}')


@event.command()
@click.argument("name")
@_vouch_option
@output.why_option
@output.json_option
def resume(name: str, *, no_handshake: bool, why: str, as_json: bool) -> None:
    """Let a subscriber be told again, from where it was paused; a webhook that has not agreed yet is asked again."""
    from modelwright.lifecycle.events import subscribing

    with output.session(is_silent=as_json, why=why) as session:
        found = subscribing.resume(session, name, is_vouched_for=no_handshake)
    if as_json:
        output.show_json({**_told(found.subscription), "greeting": plain(found.greeting)})
    else:
        click.echo(f'"{name}" is {found.subscription.state}')
        _show_introduced(found)
    if not found.is_welcome:
        raise click.exceptions.Exit(1)


@event.command()
@click.argument("name")
@output.why_option
@output.json_option
def unsubscribe(name: str, *, why: str, as_json: bool) -> None:
    """Delete a subscription with its deliveries and its secret."""
    from modelwright.lifecycle.events import subscribing

    with output.session(is_silent=as_json, why=why) as session:
        subscribing.unsubscribe(session, name)
    if as_json:
        output.show_json({"removed": name})
    else:
        click.echo(f'"{name}" is told of nothing any more')


@event.command()
@click.argument("name")
@_secret_option
@click.option(
    "--overlap",
    type=click.IntRange(0),
    metavar="HOURS",
    default=24,
    help="How long the old one signs too (default: 24).",
)
@output.why_option
@output.json_option
def rotate(name: str, *, secret: str | None, overlap: int, why: str, as_json: bool) -> None:
    """Give a webhook another secret, shown this once, or a mail server another password."""
    from modelwright.lifecycle.events import subscribing

    secret = _secret(secret)
    with output.session(is_silent=as_json, why=why) as session:
        made = subscribing.rotate(session, name, secret=secret, overlap=timedelta(hours=overlap))
    if as_json:
        output.show_json({"subscription": name, "secret": made})
    elif made is None:
        click.echo(f'"{name}" has the secret that you gave')
    else:
        click.echo(f"secret: {made}\n  it is not shown again; for {overlap} h the one before signs too")


@event.command()
@click.argument("name")
@output.json_option
def test(name: str, *, as_json: bool) -> None:
    """Send a sample event to a subscriber at once, and say what came of it; exit 1 when it was not delivered.

    The sample says so with `is_test`; a pipeline or command really runs.
    """
    from modelwright.lifecycle.events import subscribing
    from modelwright.records import AttemptVerdict

    with output.opened_store() as store, output.waiting("sending a sample", is_silent=as_json):
        found = subscribing.test(store, name)
    if as_json:
        output.show_json(found)
    else:
        click.echo(f"{found.verdict}: {found.told}")
    if found.verdict is not AttemptVerdict.DELIVERED:
        raise click.exceptions.Exit(1)


@event.command("list")
@click.option("--types", metavar="TYPE", default="*", help="Which events, as model.registered or run.*")
@click.option("--subject", metavar="SUBJECT", default="*", help="Of what, as models/churn:3 or 'models/churn:*'.")
@click.option("--limit", type=click.IntRange(1), default=50, help="At most so many (default: 50).")
@output.json_option
def list_(*, types: str, subject: str, limit: int, as_json: bool) -> None:
    """List what happened, newest first."""
    from modelwright.store import events

    with output.opened_store() as store:
        found = events.list_events(store, types=types, subject=subject, limit=limit)
    if as_json:
        output.show_json(found)
    else:
        event_tables.show_events(found)


@event.command()
@click.option("--subscription", metavar="NAME", help="Only to this subscriber.")
@click.option("--dead", is_flag=True, help="Only what was given up.")
@click.option("--waiting", is_flag=True, help="Only what is still to be told.")
@click.option("--limit", type=click.IntRange(1), default=50, help="At most so many (default: 50).")
@output.json_option
def deliveries(*, subscription: str | None, dead: bool, waiting: bool, limit: int, as_json: bool) -> None:
    """List what became of telling: how often it was tried, what was answered last, when it is tried next."""
    from modelwright.records import DeliveryStatus
    from modelwright.store import deliveries as store_of
    from modelwright.store import subscriptions as known
    from modelwright.store.deliveries import DeliveryFilter

    if dead and waiting:
        rule = "what is dead is not waiting"
        raise click.BadParameter(rule, param_hint="--dead, --waiting")
    status = DeliveryStatus.DEAD if dead else DeliveryStatus.PENDING if waiting else None
    with output.opened_store() as store:
        if subscription is not None:
            known.get_subscription(store, subscription)
        found = store_of.list_deliveries(store, DeliveryFilter(subscription, status), limit=limit)
    if as_json:
        output.show_json([event_tables.delivery_facts(each) for each in found])
    else:
        event_tables.show_deliveries(found)


@event.command()
@click.argument("name")
@output.why_option
@output.json_option
def replay(name: str, *, why: str, as_json: bool) -> None:
    """Tell once more: one delivery by its id, or all that was given up of a subscription."""
    from modelwright.lifecycle.events import subscribing

    with output.session(is_silent=as_json, why=why) as session:
        count = subscribing.replay(session, name)
    if as_json:
        output.show_json({"replayed": count})
    else:
        click.echo(f"{count} {'delivery is' if count == 1 else 'deliveries are'} tried again from the start")


def _handler(options: dict[str, Any]) -> Any:
    from modelwright.records import HandlerKind

    given = [each for each in _HANDLERS if options[each.removeprefix("--")]]
    if len(given) != 1:
        rule = "exactly one of these says what is told"
        raise click.BadParameter(rule, param_hint=", ".join(_HANDLERS))
    for name, (option, handlers) in _OPTIONS.items():
        if options[name] and given[0] not in handlers:
            rule = f"it goes with {' or '.join(sorted(handlers))}, not with {given[0]}"
            raise click.BadParameter(rule, param_hint=option)
    return HandlerKind(given[0].removeprefix("--"))


def _target(store: "Store", handler: Any, options: dict[str, Any]) -> dict[str, Any]:
    from modelwright.lifecycle.events import mail, targets

    is_private_allowed = options["allow_private"]
    folder = store.folder.absolute().parent  # where we are now may be another machine
    match str(handler):
        case "webhook":
            return targets.webhook(options["webhook"], is_private_allowed=is_private_allowed)
        case "pipeline":
            return targets.pipeline(store, options["pipeline"], parameters=_texts(options["assignments"]))
        case "command":
            return targets.command(options["command"], folder=folder)
        case "file":
            return targets.file(options["file"], folder=folder)
    return targets.email(
        options["email"],
        server=options["smtp_server"],
        sender=options["sender"],
        security=options["smtp_security"] or mail.STARTTLS,
        user=options["smtp_user"],
        is_private_allowed=is_private_allowed,
    )


def _texts(assignments: tuple[str, ...]) -> dict[str, str]:
    """Return NAME=TEXT options as they stand: what a text means depends on the event."""
    for each in assignments:
        if not each.partition("=")[0] or "=" not in each:
            raise output.not_an_assignment(each, "--set")
    return {each.partition("=")[0]: each.partition("=")[2] for each in assignments}


def _secret(given: str | None) -> str | None:
    """Return a secret that was given; `-` is asked for, where nobody sees it, or comes by a pipe."""
    if given == "-":
        is_person = sys.stdin.isatty()
        given = click.prompt("secret", hide_input=True, err=True) if is_person else sys.stdin.readline().rstrip("\r\n")
    if given == "":
        rule = "it is empty"
        raise click.BadParameter(rule, param_hint="--secret")
    return given


def _show_introduced(made: "Introduced") -> None:
    if made.secret:
        click.echo(f"secret: {made.secret}\n  it is not shown again")
    if made.greeting and not made.is_welcome:
        click.echo(f"it has not said that it wants events: {made.greeting.told}", err=True)
        click.echo(f"  next: wright event resume {made.subscription.name}", err=True)


def _told(subscription: "Subscription") -> dict[str, Any]:
    told: dict[str, Any] = plain(subscription)
    return told
