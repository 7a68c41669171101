"""Events that start a command on this machine, in the name of whoever runs Modelwright."""

import shlex
import tempfile
from pathlib import Path
from typing import IO

import orjson

from modelwright import processes, settings
from modelwright.errors import CommandTimedOut
from modelwright.lifecycle.events.envelopes import Letter
from modelwright.lifecycle.events.wording import end_in_a_line
from modelwright.records import Attempt, AttemptVerdict, Envelope, Event, Subscription
from modelwright.store import claims, hops
from modelwright.store.database import Store

_SHOWN_CHARACTERS = 400
_READ_BYTES = 4 * _SHOWN_CHARACTERS
# The guard keeps standard input for itself; the shell gives the command the event instead.
_FED = ["/bin/sh", "-c", 'exec "$@" <"$0"']


def send(store: Store, subscription: Subscription, event: Event, letters: list[Letter], *, attempt: int) -> Attempt:
    """Run the command with the event as standard input; exit code 0 means that it has it.

    After the time of the subscription it is ended, with all that it started.
    """
    target = subscription.target
    folder = Path(target["folder"])
    if not folder.is_dir():
        return Attempt(AttemptVerdict.AGAIN, f'its folder "{folder}" is not there')
    environment = settings.child_environment(
        {
            "WRIGHT_WORKSPACE": str(store.folder.absolute()),
            "WRIGHT_SUBSCRIPTION": subscription.name,
            "WRIGHT_EVENT_ID": event.id,
            "WRIGHT_EVENT_TYPE": event.type,
            "WRIGHT_EVENT_SUBJECT": event.subject,
            "WRIGHT_EVENT_ATTEMPT": str(attempt),
            **hops.variables(event.hops + 1),
        }
    )
    told = [each.body for each in letters]
    with claims.scratch_folder(store) as scratch, tempfile.TemporaryFile() as output:
        given = scratch / "event.json"
        given.write_bytes(orjson.dumps(told if subscription.envelope is Envelope.EVENT_GRID else told[0]))
        try:
            code = processes.wait(
                [*_FED, given, *target["command"]],
                folder=folder,
                environment=environment,
                output=output,
                timeout_seconds=subscription.policy.timeout_seconds,
            )
        except CommandTimedOut:
            limit = f"it took longer than {subscription.policy.timeout_seconds:g} s and was ended"
            return Attempt(AttemptVerdict.AGAIN, f"{limit}{_end_of(output)}")
        verdict = AttemptVerdict.AGAIN if code else AttemptVerdict.DELIVERED
        return Attempt(verdict, f"exit {code}{_end_of(output)}")


def read(text: str) -> list[str]:
    """Return the words of a command line as a shell reads them. Raises ValueError."""
    return shlex.split(text)


def _end_of(output: IO[bytes]) -> str:
    """Return the end of what the command said, in one line."""
    output.seek(max(0, output.seek(0, 2) - _READ_BYTES))
    words = end_in_a_line(output.read().decode(errors="replace"), most=_SHOWN_CHARACTERS)
    return f": {words}" if words else ""
