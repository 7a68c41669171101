"""The short way for requests like the one before, to a version that is arrays.

Nearly all requests of a client have the same head. Whether it may pass, who answers it, and what its answers and its
records begin with is found out once, and holds until something about the endpoint is changed. What is not so plain, or
not for the arrays, goes the long way, through `contract`, and gets the same answer there.
"""

import random
from collections.abc import Callable
from time import perf_counter_ns, time
from typing import NamedTuple

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


class Present:
    """Whether an endpoint is as it was: what was found out about it holds while it is."""

    __slots__ = ("lasts",)

    def __init__(self) -> None:
        """Begin."""
        self.lasts = True


class Words:
    """What is the same in all answers and records of requests with one head.

    An answer's head is `beginning`, its length, the date, how `run` went, `server`, the ids and `ending`; `about` is
    what its record says of the version.
    """

    __slots__ = ("about", "beginning", "ending", "server")

    def __init__(self, *, beginning: str, server: str, ending: str, about: bytes) -> None:
        """Keep them."""
        self.beginning = beginning
        self.server = server
        self.ending = ending
        self.about = about

    def whole(self, number: str, answer: bytes, microseconds: int) -> bytes:
        """Return the answer to the request of that id, for which `run` took so long, as it is sent."""
        milliseconds, thousandths = divmod(microseconds, 1000)
        head = (
            f"{self.beginning}{len(answer)}\r\ndate: {http_date()}\r\n"
            f"x-ms-run-function-failed: False\r\nx-ms-run-fn-exec-ms: {milliseconds}.{thousandths:03}\r\n"
            f"{self.server}x-request-id: {number}\r\nx-ms-request-id: {number}\r\n{self.ending}\r\n"
        )
        return head.encode("latin-1", "replace") + answer


class Forms:
    """What makes the answers of a model that is arrays, and their records."""

    __slots__ = ("_answer", "_max_depth", "_words")

    def __init__(self, answer: Callable[[bytes], bytes | None], words: Words, *, max_depth: int) -> None:
        """Have `answer` give the body of the answer to a body, or None."""
        self._answer = answer
        self._max_depth = max_depth
        self._words = words

    def made(self, body: bytes) -> Made | None:
        """Return what answers a request; None when the model itself is to be asked."""
        received_at, started = time(), perf_counter_ns()
        if len(body) > _MOST_BYTES or is_too_deep(body, self._max_depth):
            return None
        answer = self._answer(body)
        if answer is None:
            return None
        nanoseconds = perf_counter_ns() - started
        number, taken = new_request_id(), nanoseconds / 1e6
        whole = self._words.whole(number, answer, nanoseconds // 1000)
        record = encoded_plainly((received_at, taken), _OK, number.encode(), self._words.about, (body, answer))
        return number, whole, answer, record, taken


def maker(model: ArrayModel, words: Words, *, max_depth: int) -> Maker:
    """Return what makes a model's answers, compiled if they can be."""
    forms = Forms(model.answer, words, max_depth=max_depth)
    manner = model.manner
    # Keys that JSON writes in other ways than Python does are not for it.
    if native is None or model.compiled is None or max_depth < _DEPTH or not (manner.key + "a").isidentifier():
        return forms.made
    lines = tuple(each.encode("latin-1", "replace") for each in (words.beginning, words.server, words.ending))
    key, takes_whole = manner.key.encode(), manner.takes_whole
    made: Maker = native.Forms(
        model.compiled, key, takes_whole, model.head, lines, words.about, random.getrandbits, forms.made
    ).made
    return made


class Terms(NamedTuple):
    """What a request with one head may pass by, and what is to be told of it.

    It passes while the present lasts, until the time `until`, and while fewer than `most_in_progress` wait. Where it
    cannot be recorded and must be refused, `unrecorded` gives the answer for its id.
    """

    present: Present
    until: float
    most_in_progress: float
    recorder: Recorder
    tally: Tally
    totals: Totals
    unrecorded: Callable[[str], bytes]


class Way:
    """A short way for requests with one head; its terms are looked up one by one for every request."""

    __slots__ = ("most_in_progress", "present", "recorder", "tally", "totals", "unrecorded", "until")

    def __init__(self, terms: Terms) -> None:
        """Let requests pass by these terms."""
        self.present, self.until, self.most_in_progress, self.recorder = terms[:4]
        self.tally, self.totals, self.unrecorded = terms[4:]

    @property
    def is_open(self) -> bool:
        """Whether it may still be taken."""
        return self.present.lasts


class Express(Way):
    """The short way to a version that is arrays."""

    __slots__ = ("_made",)

    def __init__(self, made: Maker, terms: Terms) -> None:
        """Answer as `made` does."""
        super().__init__(terms)
        self._made = made

    def take(self, connection: Connection, head: Head, body: bytes) -> bool:
        """Answer a request as soon as it is recorded; False when it must go the long way."""
        totals = self.totals
        if not self.present.lasts or totals.in_progress >= self.most_in_progress or time() >= self.until:
            return False
        made = self._made(body)
        if made is None:
            return False
        number, whole, answer, record, milliseconds = made
        self.tally.note(_OK, milliseconds, body, answer)
        totals.in_progress += 1
        owed = Answered(connection, head, number, whole, self)
        connection.owe(owed)
        self.recorder.keep(record, owed.recorded)
        return True


class Answered(Owed):
    """A request whose answer waits for its record."""

    __slots__ = ("number", "way", "whole")

    # In place of the constructor above it, which would cost another call. The body is in the record already.
    def __init__(self, connection: Connection, head: Head, number: str, whole: bytes, way: Way) -> None:
        """Be owed to the client of a connection."""
        self.connection = connection
        self.head = head
        self.is_last = self.is_ready = False
        self.number = number
        self.whole = whole
        self.way = way

    def recorded(self, may_answer: bool) -> None:  # noqa: FBT001 - what a recorder says
        """Send the answer as soon as those before it are sent."""
        way = self.way
        way.totals.answered += 1
        way.totals.in_progress -= 1
        if not may_answer:
            self.whole = way.unrecorded(self.number)
        self.is_ready = True
        self.connection.flush()

    def encoded(self, connection: str = "") -> bytes:
        """Return the answer's bytes, with the header `connection` when it is given."""
        return with_connection(self.whole, connection) if connection else self.whole
