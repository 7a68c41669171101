"""Runs one command and ends it, with all its children, when the parent goes away. Standard library only.

Started as `python guard.py COMMAND …` with a pipe as standard input; it leads a process group. Nothing is ever
read from the pipe: its closing means that the parent has ended. Signals that the parent sends are passed on; the exit
code is the command's. A second process, the watchman, stands outside of the group and ends it: at once when the parent
has ended, and after a moment when the guard itself has, by whatever means.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

# What the command leaves behind may still be tidying up after it, such as a tracker of shared memory.
_GRACE_SECONDS = 1.0
_NOT_FOUND = 127  # the shell's code for a command that cannot be started


def main() -> int:
    """Run the command given as arguments; return its exit code, or 128 + the signal that ended it."""
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # else the group that ends with the command would be our parent's
    post_watchman()
    try:
        child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603 - an argument list, no shell
    except OSError as error:
        sys.stderr.write(f"{sys.argv[1]}: {error.strerror}\n")
        return _NOT_FOUND

    def pass_on(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    code = child.wait()
    # Children that the command left behind share our group. We are in it too, so ignore the polite signal ourselves;
    # the watchman sends the other one.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    return code if code >= 0 else 128 - code


def post_watchman() -> None:
    """Start the process that ends our group when the parent or we have ended."""
    group = os.getpgrp()
    ours, guards = os.pipe()  # the guard holds the writing end, and the system closes it when the guard ends
    if os.fork():
        os.close(ours)
        return
    os.setsid()
    os.close(guards)
    for stream in (1, 2):  # whoever reads them waits until all who could write have closed them
        os.close(stream)
    watch(group, parent=0, guard=ours)
    os._exit(0)


def watch(group: int, *, parent: int, guard: int) -> None:
    """Wait until one of the two pipes has closed, then end the group."""
    with contextlib.suppress(ProcessLookupError):
        while guard not in select.select([parent, guard], [], [])[0]:
            if not os.read(parent, 4096):
                os.killpg(group, signal.SIGKILL)
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline and not select.select([parent], [], [], 0.02)[0]:
            os.killpg(group, 0)  # raises when nobody is left
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
