"""Records exchanges in the front, and says when each is as safe as the endpoint's mode promises.

All state is that of the event loop's thread. What is recorded during a turn of the loop is one group, written at its
end: in `durable` mode by a thread that writes and flushes it while the loop goes on and the next group gathers, in the
other modes at once. So that there is one writer at a time, no group is given out before the last one has come back.

As long as the disk is quick, groups are flushed at once too: handing one to a thread and back takes as long as the
flush, and those who could ask meanwhile are mostly in the group, and wait for it.

A record that is likely to be alone is written at once, since waiting for the turn's end takes the loop a turn more.
"""

import asyncio
import contextlib
import logging
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import monotonic

from modelwright.errors import CaptureNotWritten
from modelwright.records import CaptureCounts, CaptureLimits, CaptureMode, CaptureSettings, Exchange
from modelwright.serving.capture import collecting
from modelwright.serving.capture.encoding import encoded
from modelwright.serving.capture.journal import Journal
from modelwright.serving.capture.redaction import Redaction, redaction, salt_of

_LOG = logging.getLogger(__name__)
_LOUD_SECONDS = 10.0
_HASHES = 1 << 32
_QUICK_SECONDS = 0.0005
_WEIGHT_OF_LAST = 0.2
# A record that comes so long after the one before, when so many were alone, is alone too.
_LONELY_SECONDS = 0.00005
_MANY_SINGLES = 10

# Told whether the exchange may be answered; False where it could not be recorded and the endpoint refuses then.
Done = Callable[[bool], None]


class Recorder:
    """Keeps what an endpoint is asked and answers, below `folder`, which is called as the endpoint is."""

    def __init__(
        self, folder: Path, settings: CaptureSettings | None = None, *, limits: CaptureLimits | None = None
    ) -> None:
        """Keep as `settings` say, by default every request durably."""
        self.folder = folder
        self._limits = limits or CaptureLimits()
        self._journal = Journal(folder, self._limits)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._contents: list[bytes] = []
        self._dones: list[Done] = []
        self._pending_bytes = 0
        self._flying: list[Done] = []
        self._flying_bytes = 0
        self._in_flight = 0
        self._is_arranged = False
        self._singles = 0  # groups of one record, since the last of more
        self._begun_at = 0.0  # when the first record of the last group came
        self._groups: SimpleQueue[list[bytes] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._sealer: asyncio.TimerHandle | None = None
        self._idle: asyncio.Event | None = None
        self._kept = self._skipped = self._lost = self._failed = 0
        self._failure = ""
        self._flush_seconds = math.inf  # what a flush takes, the last ones counting most
        self._quiet_until = 0.0
        self._untold = 0
        self.configure(settings or CaptureSettings())

    def configure(self, settings: CaptureSettings) -> None:
        """Keep as these settings say from the next request on; what waits is kept as safely as the new ones say.

        Raises OSError where the key of hashes cannot be made; then everything is kept as before.
        """
        self._redaction: Redaction | None = redaction(
            settings.hashed, settings.left_out, salt=lambda: salt_of(self.folder.parent)
        )
        self._settings = settings
        self._headers = frozenset(each.lower() for each in settings.headers)
        self._sampled = settings.rate * _HASHES if settings.mode is CaptureMode.SAMPLE else _HASHES
        collecting.tell(self.folder, self._redaction)
        collecting.switch(self.folder, is_on=settings.is_collecting)
        self._is_off = settings.mode is CaptureMode.OFF
        self._is_durable = settings.mode is CaptureMode.DURABLE

    @property
    def settings(self) -> CaptureSettings:
        """How exchanges are kept now."""
        return self._settings

    @property
    def is_plain(self) -> bool:
        """Whether every exchange is kept as it is, or none is: nothing is hashed, left out, added or chosen."""
        return self._redaction is None and not self._headers and self._sampled == _HASHES

    @property
    def counts(self) -> CaptureCounts:
        """What became of the exchanges so far."""
        return CaptureCounts(
            mode=self._settings.mode,
            kept=self._kept,
            skipped=self._skipped,
            lost=self._lost,
            failed=self._failed,
            pending=len(self._dones) + self._in_flight,
            failure=self._failure,
        )

    def record(self, exchange: Exchange, done: Done) -> None:
        """Keep an exchange, and then call `done` in the loop's thread: at once, or when it is safe."""
        if self._is_off or (self._sampled < _HASHES and not self._is_sampled(exchange)):
            self._skipped += 1
            done(True)  # noqa: FBT003 - the signature is short, and called for every request
            return
        self._add(self._encoded(exchange), done)

    def keep(self, content: bytes, done: Done) -> None:
        """Keep an exchange that is encoded already; only where the recorder `is_plain`."""
        if self._is_off:
            self._skipped += 1
            done(True)  # noqa: FBT003 - the signature is short, and called for every request
        else:
            self._add(content, done)

    def _add(self, content: bytes, done: Done) -> None:
        limits = self._limits
        if len(self._dones) + self._in_flight >= limits.max_pending or self._pending_bytes > limits.max_pending_bytes:
            self._fail([done], f"{limits.max_pending:,} records or their bytes wait for the disk")
            return
        self._contents.append(content)
        self._dones.append(done)
        self._pending_bytes += len(content)
        if not self._is_arranged and not self._in_flight:
            before, self._begun_at = self._begun_at, monotonic()
            if self._singles >= _MANY_SINGLES and self._begun_at - before > _LONELY_SECONDS:
                self._give_out()
            else:
                self._is_arranged = True
                self._running_loop().call_soon(self._give_out)

    async def close(self) -> None:
        """Return when what was recorded is safe and its segment ended."""
        while self._dones or self._in_flight:
            self._idle = asyncio.Event()
            await self._idle.wait()
        if self._sealer is not None:
            self._sealer.cancel()
            self._sealer = None
        thread, self._thread = self._thread, None
        if thread is not None:
            self._groups.put(None)
            thread.join()
        self._journal.seal()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        self._loop = self._loop or asyncio.get_running_loop()
        return self._loop

    def _is_sampled(self, exchange: Exchange) -> bool:
        # By its id, so that the copies of a request that shadows answer are in the sample when it is.
        return zlib.crc32(exchange.request_id.encode("utf-8", "replace")) < self._sampled

    def _encoded(self, exchange: Exchange) -> bytes:
        headers = (
            {name: value for name, value in exchange.headers.items() if name.lower() in self._headers}
            if self._headers
            else {}
        )
        if self._redaction is None:
            return encoded(exchange, headers)
        return encoded(self._redaction.redacted(exchange), self._redaction.headers(headers))

    def _give_out(self) -> None:
        """Write what has gathered, or have it written."""
        self._is_arranged = False
        if self._in_flight or not self._dones:
            return
        self._arrange_sealing()
        contents, self._contents = self._contents, []
        self._singles = self._singles + 1 if len(contents) == 1 and not self._is_durable else 0
        if not self._is_durable or self._flush_seconds < _QUICK_SECONDS:
            dones, self._dones = self._dones, []
            self._pending_bytes = 0
            self._settle(dones, self._try_append(contents, is_flushed=self._is_durable))
            return
        if self._thread is None:
            self._thread = Thread(target=self._write_groups, name="capture", daemon=True)
            self._thread.start()
        self._flying, self._dones = self._dones, []
        self._flying_bytes = self._pending_bytes
        self._in_flight = len(self._flying)
        self._groups.put(contents)

    def _write_groups(self) -> None:
        """Write and flush one group after the other; in the thread."""
        loop = self._running_loop()
        while (contents := self._groups.get()) is not None:
            failure = self._try_append(contents, is_flushed=True)
            with contextlib.suppress(RuntimeError):  # the loop was closed, and nobody waits any more
                loop.call_soon_threadsafe(self._come_back, failure)

    def _try_append(self, contents: list[bytes], *, is_flushed: bool) -> str:
        """Append to the journal; return why that was not possible, else nothing."""
        begun = monotonic()
        try:
            self._journal.append(contents, is_flushed=is_flushed)
        except CaptureNotWritten as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told, and the thread goes on
            _LOG.exception("capture failed")
            return f"{type(error).__name__}: {error}"
        if is_flushed:
            last, before = monotonic() - begun, self._flush_seconds
            self._flush_seconds = last if before == math.inf else before + (last - before) * _WEIGHT_OF_LAST
        return ""

    def _come_back(self, failure: str) -> None:
        """Give out the group that gathered meanwhile, then answer for the one that was written."""
        dones, self._flying = self._flying, []
        self._pending_bytes -= self._flying_bytes
        self._in_flight = 0
        self._give_out()
        self._settle(dones, failure)

    def _settle(self, dones: list[Done], failure: str) -> None:
        if failure:
            self._fail(dones, failure)
        else:
            self._kept += len(dones)
            _tell(dones, is_answered=True)
        if self._idle is not None and not self._dones and not self._in_flight:
            self._idle.set()

    def _fail(self, dones: list[Done], failure: str) -> None:
        """Do with exchanges that could not be kept as the settings say, and be heard."""
        is_answered = not self._settings.is_refusing
        if is_answered:
            self._lost += len(dones)
        else:
            self._failed += len(dones)
        self._failure = failure
        self._untold += len(dones)
        moment = monotonic()
        if moment >= self._quiet_until:
            # The first at once; then a line for many, since a full disk gets one for every request otherwise.
            self._quiet_until = moment + _LOUD_SECONDS
            told = "answered without a record" if is_answered else "refused, since they cannot be recorded"
            _LOG.error("requests %s: %d, %s", told, self._untold, failure)
            self._untold = 0
        _tell(dones, is_answered=is_answered)

    def _arrange_sealing(self) -> None:
        """See to it that a segment ends in time though nothing more is recorded: it can be compacted then."""
        if self._sealer is None:
            self._sealer = self._running_loop().call_later(self._limits.segment_seconds, self._seal)

    def _seal(self) -> None:
        self._sealer = None
        if self._in_flight or not self._journal.is_due:
            # The next that is recorded arranges it where there is no segment now.
            if self._in_flight or self._journal.is_open:
                self._arrange_sealing()
        else:
            self._journal.seal()


def _tell(dones: list[Done], *, is_answered: bool) -> None:
    """Call back for each of a group: what goes wrong with one request leaves none of the others waiting."""
    for done in dones:
        try:
            done(is_answered)
        except Exception:  # noqa: BLE001 - whatever it is
            _LOG.exception("a request that was recorded was not answered")
