"""What a child process prints to: a pipe, or a terminal of a certain size that it cannot tell from a person's."""

import fcntl
import os
import pty
import struct
import termios


def pair(size: tuple[int, int] | None) -> tuple[int, int]:
    """Return what to read from and what the child writes to: a terminal of so many lines and columns, else a pipe."""
    if size is None:
        return os.pipe()
    reading, writing = pty.openpty()
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    attributes = termios.tcgetattr(writing)
    attributes[1] &= ~termios.OPOST  # the terminal at the other end turns \n into \r\n, once
    termios.tcsetattr(writing, termios.TCSANOW, attributes)
    return reading, writing


def read(descriptor: int, most: int = 1 << 16) -> bytes:
    """Return what was printed; nothing once everybody who could print has closed it."""
    try:
        return os.read(descriptor, most)
    except OSError:  # so says a terminal, on Linux
        return b""
