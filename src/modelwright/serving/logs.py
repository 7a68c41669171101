"""Reads an endpoint's log: what its front, its workers and its scripts wrote, line by line."""

import math
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelwright.records import LogLine
from modelwright.serving.front.logs import KEPT, older

LEVELS = ("debug", "info", "warning", "error", "critical")
_LINE = re.compile(rf"(\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z) (.+?) (\S+) ({'|'.join(LEVELS)}) (.*)", re.DOTALL)
# How loggers of scripts begin their lines: what they say of their level is truer than the stream they write to.
_SAID = re.compile(rf"\W*({'|'.join(LEVELS)})\b", re.IGNORECASE)
_POLL_SECONDS = 0.2
# A worker looks once a second, before it writes, whether its file still has the log's name.
_NOTICED_SECONDS = 3.0


def read(log: Path, *, most: int, is_wanted: Callable[[LogLine], bool]) -> list[LogLine]:
    """Return the last lines that are wanted, at most so many, oldest first; older files are read when needed."""
    tails = _begun_since([], log)
    try:
        return _last(tails, most=most, is_wanted=is_wanted, is_whole=True)
    finally:
        _close(tails)


def follow(log: Path, *, most: int, is_wanted: Callable[[LogLine], bool]) -> Iterator[LogLine]:
    """Yield what `read` returns, and then what is wanted as it is written, for ever, through all files.

    A file that was put aside is read on until all who write have had the time to notice. Of a log that was never begun
    there is nothing to follow.
    """
    tails = _begun_since([], log)
    try:
        yield from _last(tails, most=most, is_wanted=is_wanted)
        while tails:
            tails += _begun_since(tails, log)
            for each in tails[:-1]:
                each.put_aside()
            over = [each for each in tails if each.is_over()]  # by now: what was written until now is read below
            lines = [line for each in tails for line in each.read(is_whole=each in over)]
            tails = [each for each in tails if each not in over]
            _close(over)
            yield from filter(is_wanted, lines)
            if not lines:
                time.sleep(_POLL_SECONDS)
    finally:
        _close(tails)


@dataclass(eq=False)
class _Tail:
    """A file of the log that is followed."""

    stream: BinaryIO
    rest: bytes = b""
    until: float = math.inf

    def read(self, *, is_whole: bool = False) -> list[LogLine]:
        """Return the lines that came since the last time; of a file that `is_whole`, the last without its end too."""
        *lines, self.rest = (self.rest + self.stream.read()).split(b"\n")
        if is_whole and self.rest:
            lines.append(self.rest)
        return [parse(each.decode("utf-8", "replace")) for each in lines]

    def put_aside(self) -> None:
        """Say that another file was begun, which those who write to this one have not noticed yet."""
        self.until = min(self.until, time.monotonic() + _NOTICED_SECONDS)

    def is_over(self) -> bool:
        """Say whether nobody writes to this file any more."""
        return time.monotonic() > self.until

    def is_same(self, stream: BinaryIO) -> bool:
        """Say whether that is this very file, whatever it is called now."""
        return os.path.samestat(os.fstat(self.stream.fileno()), os.fstat(stream.fileno()))


def _begun_since(tails: list[_Tail], log: Path) -> list[_Tail]:
    """Return the files that were begun after those that are followed, all when there are none, oldest first."""
    begun: list[_Tail] = []
    # From new to old, which is the way that files go while we look: none is passed by, but one may be met twice.
    for path in (log, *(older(log, age) for age in range(1, KEPT + 1))):
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            continue  # it is being put aside
        is_known = any(each.is_same(stream) for each in tails)
        if is_known or any(each.is_same(stream) for each in begun):
            stream.close()
            if is_known:
                return begun
        else:
            begun.insert(0, _Tail(stream))
    if tails:  # they were removed: what is put aside may be older than they are
        _close(begun[:-1])
        return begun[-1:]
    return begun


def _last(
    tails: list[_Tail], *, most: int, is_wanted: Callable[[LogLine], bool], is_whole: bool = False
) -> list[LogLine]:
    """Return the last lines that are wanted, at most so many, and leave every file at its end."""
    found: list[LogLine] = []
    for tail in reversed(tails):
        if len(found) < most:
            found = [each for each in tail.read(is_whole=is_whole) if is_wanted(each)] + found
        else:
            tail.stream.seek(0, os.SEEK_END)
    return found[-most:]


def _close(tails: list[_Tail]) -> None:
    for each in tails:
        each.stream.close()


def parse(text: str) -> LogLine:
    """Return what a line says; one that was written past Python, as libraries in C do, is all text."""
    found = _LINE.fullmatch(text)
    if found is None:
        return LogLine(time="", request_id="", version="", level="info", text=text)
    moment, request_id, version, level, said = found.groups()
    own = _SAID.match(said)
    return LogLine(
        time=moment,
        request_id="" if request_id == "-" else request_id.replace("%20", " ").replace("%25", "%"),
        version=version,
        level=own[1].lower() if own and version != "front" else level,
        text=said,
    )


def wanted(*, request_id: str | None, level: str | None) -> Callable[[LogLine], bool]:
    """Return the test for lines of a request, of a level or worse, or of both."""
    levels = LEVELS[LEVELS.index(level) :] if level else LEVELS
    return lambda line: line.level in levels and request_id in {None, line.request_id}
