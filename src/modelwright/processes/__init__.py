"""Child processes that never outlive their parent.

Takes a command, gives its result. Every child is started under a small guard, in a process group of its own: when the
parent ends for whatever reason, kill -9 included, its end of a pipe closes and the guard ends the whole group.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modelwright.errors import CommandMissing, CommandTimedOut

_GUARD = Path(__file__).with_name("guard.py")


@dataclass(frozen=True)
class Finished:
    """A child process's end: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def guarded(command: Sequence[str | Path]) -> list[str]:
    """Return `command` wrapped in the guard. Start it with a pipe as standard input and keep that pipe open."""
    # -S -E: the guard needs nothing installed, and starts in half the time without site-packages.
    return [sys.executable, "-S", "-E", str(_GUARD), *map(str, command)]


def start(
    command: Sequence[str | Path],
    *,
    folder: Path,
    environment: Mapping[str, str],
    stdout: IO[bytes] | int = subprocess.PIPE,
    stderr: IO[bytes] | int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start `command` under the guard and return at once. `end` ends it."""
    program = Path(str(command[0]))
    if program.is_absolute() and not program.exists():
        raise CommandMissing(command=program, purpose="it was to be run", install="wright doctor")
    return subprocess.Popen(  # noqa: S603 - an argument list, no shell; callers pass our own programs
        guarded(command),
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def start_attached(
    command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str], passed: int
) -> subprocess.Popen[bytes]:
    """Start `command` in the terminal that we have, for people to talk to, with one more descriptor of ours.

    It is no child under a guard: it has to notice by `passed` that we have ended.
    """
    return subprocess.Popen(  # noqa: S603 - an argument list, no shell; callers pass our own programs
        list(command), cwd=folder, env=dict(environment), pass_fds=(passed,)
    )


def detach(module: str, arguments: Sequence[str | Path], *, log: Path, patience_seconds: float = 60.0) -> bytes | None:
    """Start a module of ours that detaches itself and serves, and return what it reports when it does.

    It gets the descriptor to report to as `--report-fd`. The report is empty when it ended without a word, and None
    when it said nothing in time.
    """
    reading, writing = os.pipe()
    with log.open("ab") as lines, os.fdopen(reading, "rb", buffering=0) as report:
        try:
            # -P: the folder we are called from is no place to import from. A workspace that is in use as a working
            # folder could not be moved away.
            subprocess.run(  # noqa: S603 - an argument list, no shell
                [sys.executable, "-P", "-m", module, *map(str, arguments), "--report-fd", str(writing)],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                pass_fds=(writing,),
                start_new_session=True,
                check=False,
            )
        finally:
            os.close(writing)
        deadline = time.monotonic() + patience_seconds
        said = b""
        while select.select([report], [], [], max(0.0, deadline - time.monotonic()))[0]:
            piece = report.read(1 << 16)
            if not piece:
                return said
            said += piece
    return None


def tell(descriptor: int, said: bytes) -> None:
    """Report to whoever called `detach`, once. That one may have been killed meanwhile: we serve all the same."""
    with contextlib.suppress(OSError):
        os.write(descriptor, said)
    os.close(descriptor)


def interrupt(process: subprocess.Popen[bytes], *, grace_seconds: float = 10.0) -> None:
    """Do what Ctrl-C does, and wait a while for the process to have cleared up. `end` is for what goes on then."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_seconds)


def end(process: subprocess.Popen[bytes], *, grace_seconds: float = 5.0) -> int:
    """Ask the process and its children to end, then make them; return the exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):  # one that has our terminal leads no group
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
    if process.stdin:
        process.stdin.close()
    return process.wait()


def run(
    command: Sequence[str | Path],
    *,
    folder: Path,
    environment: Mapping[str, str],
    timeout_seconds: float = 3600.0,
    after_timeout: str = "run it again with less work",
) -> Finished:
    """Run `command` to its end and return what it printed.

    Raises CommandTimedOut after `timeout_seconds`; on that, and on Ctrl-C, the whole process group has ended.
    """
    process = start(command, folder=folder, environment=environment)
    stdin, process.stdin = process.stdin, None  # communicate() would close it, and the guard would end the child
    deadline = time.monotonic() + timeout_seconds
    try:
        stdout, stderr = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as expired:
        raise CommandTimedOut(
            command=Path(str(command[0])).name, timeout_seconds=timeout_seconds, next=after_timeout
        ) from expired
    finally:
        end(process)
        for stream in (stdin, process.stdout, process.stderr):
            if stream:
                stream.close()
    return Finished(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))


def wait(
    command: Sequence[str | Path],
    *,
    folder: Path,
    environment: Mapping[str, str],
    output: IO[bytes],
    timeout_seconds: float,
) -> int:
    """Run `command` to its end with all that it prints going to the file `output`; return its exit code.

    Raises CommandTimedOut after `timeout_seconds`, when the whole process group has ended.
    """
    process = start(command, folder=folder, environment=environment, stdout=output, stderr=output)
    try:
        return process.wait(timeout_seconds)
    except subprocess.TimeoutExpired as expired:
        name = Path(str(command[0])).name
        raise CommandTimedOut(
            command=name, timeout_seconds=timeout_seconds, next="the same with less work"
        ) from expired
    finally:
        end(process)
