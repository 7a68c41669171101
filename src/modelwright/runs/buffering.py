"""Points that wait a moment to be written together, and never get lost on the way out.

A buffer is written when it is older than its window (0.2 s) or holds 1,000 points, on `flush`, when its run ends, when
the process exits, and on SIGTERM. What kill -9, a power cut or `os._exit` can take is that window and no more.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

from modelwright.store.points import Logged

BUFFER_SECONDS = 0.2
MOST_POINTS = 1_000

Write = Callable[[Sequence[Logged]], None]

# Held while anything is written, and while this process forks: a fork has a copy of every lock, SQLite's own included,
# and nobody there would ever let go of those that a thread of this process has at that moment.
_at_rest = threading.RLock()


class Buffer:
    """The points of one run that are not written yet; `write` is called by one thread at a time."""

    def __init__(self, write: Write, *, seconds: float) -> None:
        """Begin empty. With `seconds` 0 nothing waits."""
        self._write = write
        self._points: deque[Logged] = deque()
        self._lock = threading.Lock()
        self.seconds = seconds
        self._is_watched = False

    def add(self, point: Logged) -> None:
        """Take a point. What fails to be written stays, and is tried again with the next."""
        points = self._points
        points.append(point)
        if not self.seconds or len(points) >= MOST_POINTS:
            self.flush()
        elif not self._is_watched:
            self._is_watched = True
            _clock.watch(self)

    def flush(self) -> None:
        """Write what waits."""
        if self._points:
            self.flush_with(self._write)

    def flush_with(self, write: Write) -> None:
        """Let `write` write what waits, which may be nothing, together with what else it has to write."""
        waiting = self._points
        with undisturbed(), self._lock:
            points = [waiting.popleft() for _ in range(len(waiting))]
            try:
                write(points)
            except BaseException:
                waiting.extendleft(reversed(points))
                raise

    def close(self) -> None:
        """Let nobody watch it any longer."""
        _clock.forget(self)


class _Clock:
    """The thread that writes buffers when their window is over. It runs while there is a buffer that has points."""

    def __init__(self) -> None:
        self._buffers: set[Buffer] = set()
        self._has_work = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, buffer: Buffer) -> None:
        self._buffers.add(buffer)
        if self._thread is None:
            self._thread = threading.Thread(target=self._tick, name="modelwright-buffers", daemon=True)
            self._thread.start()
        self._has_work.set()

    def forget(self, buffer: Buffer) -> None:
        self._buffers.discard(buffer)

    def _tick(self) -> None:
        while True:
            self._has_work.wait()
            time.sleep(min((each.seconds for each in self._buffers.copy()), default=BUFFER_SECONDS))
            for buffer in self._buffers.copy():
                # Whatever stood in the way, such as a full disk, is told to whoever logs or flushes next.
                with contextlib.suppress(Exception):
                    buffer.flush()
            if not self._buffers:
                self._has_work.clear()
                if self._buffers:
                    self._has_work.set()


_clock = _Clock()


class _Farewell:
    """Lets the open runs be told, once, that the process ends.

    A SIGTERM that nobody handles would end the process at once; while runs are open it is handled here, and passed on:
    to the handler that was there before, or to the system, so that the process ends as it would have ended.
    """

    def __init__(self) -> None:
        self._endings: dict[object, tuple[Callable[[], None], Callable[[str], None]]] = {}
        self._before: Any = None
        self._depth = 0
        self._waiting: int | None = None
        atexit.register(self.exit)

    def attend(self, key: object, *, flush: Callable[[], None], end: Callable[[str], None]) -> None:
        """From now on call `flush` when the process may end, and `end` with the reason when it does."""
        self._endings[key] = (flush, end)
        if threading.current_thread() is threading.main_thread() and self._before is None:
            found = signal.getsignal(signal.SIGTERM)
            if callable(found) or found is signal.SIG_DFL:
                self._before = found
                signal.signal(signal.SIGTERM, self._terminated)

    def leave(self, key: object) -> None:
        """Call nothing of `key` any more; with the last one the handler that was there before is put back."""
        self._endings.pop(key, None)
        if not self._endings and self._before is not None and threading.current_thread() is threading.main_thread():
            if signal.getsignal(signal.SIGTERM) == self._terminated:
                signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def forget(self) -> None:
        """Call nothing: what was attended belongs to the process that this one was forked from."""
        self._endings.clear()
        self._depth, self._waiting = 0, None

    @contextlib.contextmanager
    def held_off(self) -> Iterator[None]:
        """Let a SIGTERM wait until the block ends: its handler runs in this thread and would wait for its locks."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._waiting is not None and not self._depth:
                number, self._waiting = self._waiting, None
                self._terminated(number, None)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        if self._depth:
            self._waiting = number
            return
        with self.held_off():
            for flush, _ in list(self._endings.values()):
                with contextlib.suppress(Exception):
                    flush()
        before = self._before
        if callable(before):
            before(number, frame)
            return
        self._end_all("ended by SIGTERM")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def exit(self) -> None:
        """Say that the process ends."""
        self._end_all("its process ended before the run did: end a run with `with` or `run.finish()`")

    def _end_all(self, reason: str) -> None:
        for flush, end in list(self._endings.values()):
            with contextlib.suppress(Exception):
                flush()
            with contextlib.suppress(Exception):
                end(reason)


def _forked() -> None:
    """Begin anew in a process that was forked: threads are not copied, and what waits is the parent's to write."""
    global _clock  # noqa: PLW0603 - its thread and its locks are those of another process
    _clock = _Clock()
    _farewell.forget()
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing:  # its processes end without the functions of atexit
        multiprocessing.register_after_fork(
            _farewell, lambda told: multiprocessing.Finalize(None, told.exit, exitpriority=0)
        )


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let a SIGTERM, and whoever wants to fork this process, wait until the block ends."""
    with _farewell.held_off(), _at_rest:
        yield


_farewell = _Farewell()
os.register_at_fork(before=_at_rest.acquire, after_in_parent=_at_rest.release, after_in_child=_at_rest.release)
os.register_at_fork(after_in_child=_forked)
attend = _farewell.attend
leave = _farewell.leave
