"""Reads an endpoint's log: what its front, its workers and its scripts wrote, line by line."""

import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
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
    return _preceded([], (log, *_older(log)), most=most, is_wanted=is_wanted)


def follow(log: Path, *, most: int, is_wanted: Callable[[LogLine], bool]) -> Iterator[LogLine]:
    """Yield what `read` returns, and then what is wanted as it is written, for ever, through all files.

    A file that was put aside is read on until all who write have had the time to notice.
    """
    tails = [_Tail(log.open("rb"))]
    try:
        present = list(filter(is_wanted, tails[0].read()))
        yield from _preceded(present, _older(log), most=most, is_wanted=is_wanted)
        while True:
            begun = _begun_since(tails[-1], log)
            for tail in tails if begun else ():
                tail.put_aside()
            tails += begun
            lines = [line for tail in tails for line in tail.read()]
            yield from filter(is_wanted, lines)
            for tail in [each for each in tails if each.is_over()]:
                tail.stream.close()
                tails.remove(tail)
            if not lines:
                time.sleep(_POLL_SECONDS)
    finally:
        for tail in tails:
            tail.stream.close()


@dataclass(eq=False)
class _Tail:
    """A file of the log that is followed."""

    stream: BinaryIO
    rest: bytes = b""
    until: float = math.inf

    def read(self) -> list[LogLine]:
        """Return the whole lines that came since the last time."""
        *whole, self.rest = (self.rest + self.stream.read()).split(b"\n")
        return _parsed(whole)

    def put_aside(self) -> None:
        """Say that another file was begun, which those who write to this one have not noticed yet."""
        self.until = min(self.until, time.monotonic() + _NOTICED_SECONDS)

    def is_over(self) -> bool:
        """Say whether nobody writes to this file any more."""
        return time.monotonic() > self.until


def _begun_since(tail: _Tail, log: Path) -> list[_Tail]:
    """Return the files that were begun after the one that is followed, oldest first."""
    followed = os.fstat(tail.stream.fileno())
    begun: list[_Tail] = []
    for path in (log, *_older(log)):
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            continue  # it is being put aside
        if os.path.samestat(os.fstat(stream.fileno()), followed):
            stream.close()
            return begun
        begun.insert(0, _Tail(stream))
    # Ours was removed: what is put aside may be older than it.
    for each in begun[:-1]:
        each.stream.close()
    return begun[-1:]


def _older(log: Path) -> list[Path]:
    return [older(log, age) for age in range(1, KEPT + 1)]


def _preceded(
    found: list[LogLine], paths: Iterable[Path], *, most: int, is_wanted: Callable[[LogLine], bool]
) -> list[LogLine]:
    """Return the last lines, at most so many: those found, and before them those of files from new to old."""
    for path in paths:
        if len(found) >= most:
            break
        found = [each for each in _lines(path) if is_wanted(each)] + found
    return found[-most:]


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


def _lines(path: Path) -> list[LogLine]:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return _parsed(data.removesuffix(b"\n").split(b"\n") if data else ())


def _parsed(lines: Iterable[bytes]) -> list[LogLine]:
    return [parse(line.decode("utf-8", "replace")) for line in lines]
