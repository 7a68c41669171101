"""The short way for requests like the one before, to a version that is arrays.

Nearly all requests of a client have the same head. Whether it may pass, who answers it, and what its answers and its
records begin with is found out once, and holds until something about the endpoint is changed. What is not so plain, or
not for the arrays, goes the long way, through `contract`, and gets the same answer there.
"""

import random
from collections.abc import Callable
from time import perf_counter_ns, time

from modelwright.models.fusing.evaluating import ArrayModel
from modelwright.native import native
from modelwright.records import new_request_id
from modelwright.serving.capture.encoding import encoded_plainly
from modelwright.serving.capture.recorder import Recorder
from modelwright.serving.front.connections import Connection, Owed
from modelwright.serving.front.depth import is_too_deep
from modelwright.serving.front.messages import Head, http_date, with_connection
from modelwright.serving.front.tally import Tally, Totals

_OK = 200
# The reading of a longer body is what takes the time, whichever way it goes.
_MOST_BYTES = 4096
_DEPTH = 3  # of a request with rows

# A request's id, its answer as it is sent, the body of that, the record, and the milliseconds that it took.
Made = tuple[str, bytes, bytes, bytes, float]
Maker = Callable[[bytes], Made | None]


class Forms:
    """What is the same in all answers and records of requests with one head."""

    __slots__ = ("_about", "_answer", "_beginning", "_ending", "_max_depth", "_server")

    def __init__(
        self,
        answer: Callable[[bytes], bytes | None],
        *,
        max_depth: int,
        beginning: str,
        server: str,
        ending: str,
        about: bytes,
    ) -> None:
        """Have `answer` give the body of the answer to a body, or None.

        An answer's head is `beginning`, its length, the date, how `run` went, `server`, the ids and `ending`; `about`
        is what its record says of the version.
        """
        self._answer = answer
        self._max_depth = max_depth
        self._beginning = beginning
        self._server = server
        self._ending = ending
        self._about = about

    def made(self, body: bytes) -> Made | None:
        """Return what answers a request; None when the model itself is to be asked."""
        received_at, started = time(), perf_counter_ns()
        if len(body) > _MOST_BYTES or is_too_deep(body, self._max_depth):
            return None
        answer = self._answer(body)
        if answer is None:
            return None
        nanoseconds = perf_counter_ns() - started
        milliseconds, microseconds = divmod(nanoseconds // 1000, 1000)
        number = new_request_id()
        head = (
            f"{self._beginning}{len(answer)}\r\ndate: {http_date()}\r\n"
            f"x-ms-run-function-failed: False\r\nx-ms-run-fn-exec-ms: {milliseconds}.{microseconds:03}\r\n"
            f"{self._server}x-request-id: {number}\r\nx-ms-request-id: {number}\r\n{self._ending}\r\n"
        )
        taken = nanoseconds / 1e6
        record = encoded_plainly((received_at, taken), _OK, number.encode(), self._about, (body, answer))
        return number, head.encode("latin-1", "replace") + answer, answer, record, taken


def maker(model: ArrayModel, *, max_depth: int, beginning: str, server: str, ending: str, about: bytes) -> Maker:
    """Return what makes a model's answers, compiled if they can be. The words are those of `Forms`."""
    forms = Forms(model.answer, max_depth=max_depth, beginning=beginning, server=server, ending=ending, about=about)
    manner = model.manner
    # Keys that JSON writes in other ways than Python does are not for it.
    if native is None or model.compiled is None or max_depth < _DEPTH or not (manner.key + "a").isidentifier():
        return forms.made
    lines = (beginning.encode("latin-1"), server.encode("latin-1"), ending.encode("latin-1", "replace"))
    key, takes_whole = manner.key.encode(), manner.takes_whole
    made: Maker = native.Forms(
        model.compiled, key, takes_whole, model.head, lines, about, random.getrandbits, forms.made
    ).made
    return made


class Terms:
    """How the endpoint is set up; they `hold` until something about it is changed."""

    __slots__ = ("hold",)

    def __init__(self) -> None:
        """Begin to hold."""
        self.hold = True


class Express:
    """The short way for requests with one head, for as long as the terms hold that it was opened under."""

    __slots__ = ("_made", "_most_in_progress", "_recorder", "_tally", "_terms", "_until", "totals", "unrecorded")

    def __init__(
        self,
        made: Maker,
        terms: Terms,
        *,
        recorder: Recorder,
        counts: tuple[Tally, Totals],
        until: float,
        most_in_progress: float,
        unrecorded: Callable[[str], bytes],
    ) -> None:
        """Answer as `made` does, until the time `until`, and while fewer than `most_in_progress` wait.

        Where a request cannot be recorded and must be refused, `unrecorded` gives the answer for its id.
        """
        self._made = made
        self._terms = terms
        self._recorder = recorder
        self._tally, self.totals = counts
        self._until = until
        self._most_in_progress = most_in_progress
        self.unrecorded = unrecorded

    def take(self, connection: Connection, head: Head, body: bytes) -> bool:
        """Answer a request as soon as it is recorded; False when it must go the long way."""
        totals = self.totals
        if not self._terms.hold or totals.in_progress >= self._most_in_progress or time() >= self._until:
            return False
        made = self._made(body)
        if made is None:
            return False
        number, whole, answer, record, milliseconds = made
        self._tally.note(_OK, milliseconds, body, answer)
        totals.in_progress += 1
        owed = _Answered(connection, head, number, whole, self)
        connection.owe(owed)
        self._recorder.keep(record, owed.recorded)
        return True


class _Answered(Owed):
    """A request whose answer waits for its record."""

    __slots__ = ("_express", "_number", "_whole")

    def __init__(self, connection: Connection, head: Head, number: str, whole: bytes, express: Express) -> None:
        # In place of the constructor above it, which would cost another call. The body is in the record already.
        self.connection = connection
        self.head = head
        self.is_last = self.is_ready = False
        self._number = number
        self._whole = whole
        self._express = express

    def recorded(self, may_answer: bool) -> None:  # noqa: FBT001 - what a recorder says
        """Send the answer as soon as those before it are sent."""
        express = self._express
        express.totals.answered += 1
        express.totals.in_progress -= 1
        if not may_answer:
            self._whole = express.unrecorded(self._number)
        self.is_ready = True
        self.connection.flush()

    def encoded(self, connection: str = "") -> bytes:
        """Return the answer's bytes, with the header `connection` when it is given."""
        return with_connection(self._whole, connection) if connection else self._whole
