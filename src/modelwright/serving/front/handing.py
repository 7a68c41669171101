"""The short way for requests like the one before, to a version in a process of its own.

As with `express`, what is the same for all requests with one head is found out once. The version's process is asked as
on the long way; an answer that is not simply a result goes there too, which has the words for it.
"""

import logging
from time import perf_counter, time
from typing import TYPE_CHECKING, NamedTuple

from modelwright.records import new_request_id
from modelwright.serving.capture.encoding import encoded_plainly
from modelwright.serving.front.connections import Connection
from modelwright.serving.front.depth import is_too_deep
from modelwright.serving.front.express import Answered, Terms, Way, Words
from modelwright.serving.front.messages import Answer, Head, encode
from modelwright.serving.front.routes import Route
from modelwright.serving.front.versions import Version
from modelwright.serving.front.workers import Outcome, Scored

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG = logging.getLogger(__name__)
_OK = 200
# Bodies that are no longer never make up much of what waits for a version.
LITTLE_BYTES = 64 * 1024
# Looking up a member of an enumeration takes longer than calling a function.
_SCORE, _ANSWERED = Route.SCORE, Outcome.ANSWERED


class Within(NamedTuple):
    """What a request must be within: how many may wait, and how deep its body may be nested."""

    max_waiting: int
    max_depth: int


class Handing(Way):
    """The short way to a version's process."""

    __slots__ = ("_version", "_within", "go_on", "words")

    def __init__(
        self, version: Version, words: Words, terms: Terms, within: Within, go_on: "Callable[[Handed, Scored], None]"
    ) -> None:
        """Have `version` answer. `go_on` takes what is not simply a result, on the long way."""
        super().__init__(terms)
        self._version = version
        self._within = within
        self.words = words
        self.go_on = go_on

    def take(self, connection: Connection, head: Head, body: bytes) -> bool:
        """Have a request answered; False when it must go the long way."""
        totals, version = self.totals, self._version
        max_waiting, max_depth = self._within
        if not self.present.lasts or totals.in_progress >= self.most_in_progress or time() >= self.until:
            return False
        if version.takes_head or not version.is_ready or version.waiting >= max_waiting:
            return False
        if len(body) > LITTLE_BYTES or (len(body) > max_depth and is_too_deep(body, max_depth)):
            return False
        totals.in_progress += 1
        owed = Handed(connection, head, body, self)
        connection.owe(owed)
        version.score(_SCORE, body, head=b"", request_id=owed.number, done=owed.finish)
        return True


class Handed(Answered):
    """A request that a version's process was asked."""

    __slots__ = ("handing", "received_at", "started")

    # In place of the constructors above it, which would cost two calls more.
    def __init__(self, connection: Connection, head: Head, body: bytes, way: Handing) -> None:
        """Be owed to the client of a connection."""
        self.connection = connection
        self.head = head
        self.body = body
        self.is_last = self.is_ready = False
        self.number = new_request_id()
        self.received_at = time()
        self.started = perf_counter()
        self.way = self.handing = way

    def finish(self, scored: Scored) -> None:
        """Record what came of it, and then answer."""
        try:
            if not self._is_kept(scored):
                self.handing.go_on(self, scored)
        except Exception:  # noqa: BLE001 - scripts answer anything, and a client that waits is to hear of it
            _LOG.exception("a request could not be answered", extra={"request_id": self.number})
            self.handing.go_on(self, Scored(Outcome.UNSERIALIZABLE))

    def _is_kept(self, scored: Scored) -> bool:
        """Have a result recorded; False when it is something else, or was asked for when other things held."""
        outcome, status, answer, head, microseconds = scored
        way = self.handing
        if outcome is not _ANSWERED or status != _OK or head or not way.present.lasts:
            return False
        milliseconds = (perf_counter() - self.started) * 1000
        body, number = self.body, self.number
        self.whole = way.words.whole(number, answer, microseconds)
        times = self.received_at, milliseconds
        record = encoded_plainly(times, _OK, number.encode(), way.words.about, (body, answer))
        way.tally.note(_OK, milliseconds, body, answer)
        way.recorder.keep(record, self.recorded)
        return True

    def respond(self, answer: Answer) -> None:
        """Take the answer that it got on the long way."""
        self.whole = encode(answer)
        self.is_ready = True
        self.connection.flush()
