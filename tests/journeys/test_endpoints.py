"""An endpoint in a user's hands: killed and back, debugged in a terminal."""

import contextlib
import os
import pty
import re
import select
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from journeys.terminal import PATIENCE_SECONDS, Terminal, until
from serving import servable

from modelwright.lifecycle.sessions import Session
from modelwright.store import database

DEBUGGED = "def init():\n    pass\n\n\ndef run(data):\n    value = 41\n    breakpoint()\n    return value\n"


@pytest.fixture
def shop(terminal: Terminal) -> Terminal:
    """A terminal in whose workspace churn:1 to churn:3 can be served."""
    store = database.open_store(terminal.workspace)
    for number in range(1, 4):
        servable.add_version(Session(store, "ada"), number=number)
    store.close()
    return terminal


def _answer(url: str) -> str | None:
    request = urllib.request.Request(url, data=b"{}", headers={"Content-Type": "application/json"})
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return str(answer.read().decode())
    return None


def test_what_is_killed_comes_back_as_it_was(shop: Terminal) -> None:
    shop.wright("endpoint", "deploy", "churn:1")
    shop.wright("endpoint", "deploy", "churn:2", "--traffic", "100", "--as", "blue")
    shown = shop.json("endpoint", "show", "churn")
    assert (shown["state"], shown["split"]) == ("healthy", {"blue": 100, "churn:1": 0})

    # A deploying command, as soon as it is on record.
    deploying = shop.start("endpoint", "deploy", "churn:3")
    until((shop.workspace / "packages" / "churn" / "3").exists, "the package of churn:3")
    deploying.kill()
    deploying.communicate(timeout=PATIENCE_SECONDS)
    assert _answer(shown["url"]) == "2"

    # The front, while something watches.
    assert shop.json("up")["api"]
    os.kill(shop.json("endpoint", "show", "churn")["running"]["pid"], signal.SIGKILL)
    until(lambda: _answer(shown["url"]) == "2", "the endpoint to be back")
    until(lambda: not (shop.workspace / "claims" / "endpoint-churn").exists(), "it to be on record")
    again = shop.json("endpoint", "show", "churn")
    assert (again["url"], again["state"], again["split"]) == (shown["url"], "healthy", shown["split"])
    statuses = {each["name"]: each["status"] for each in again["deployments"]}
    assert statuses == {"churn:3": "failed", "blue": "healthy", "churn:1": "healthy"}
    shop.wright("down")
    assert shop.processes() == []


class Screen:
    """A real terminal, in which `wright` runs, and what is seen there."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        """Start `wright` with these arguments."""
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            program = str(Path(sys.executable).with_name("wright"))
            os.execv(program, [program, *arguments])
        self._seen = ""

    def until(self, pattern: str) -> str:
        """Return what is seen up to the pattern."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := re.search(pattern, self._seen)):
            assert time.monotonic() < deadline, self._seen
            if select.select([self._screen], [], [], 1)[0]:
                self._seen += os.read(self._screen, 4096).decode()
        self._seen, seen = self._seen[found.end() :], self._seen[: found.end()]
        return seen

    def type(self, text: str) -> None:
        """Type this."""
        os.write(self._screen, text.encode())

    def end(self) -> int:
        """Press Ctrl-C and return the exit code."""
        self.type("\x03")
        ended: list[tuple[int, int]] = []
        until(lambda: bool(ended.append(os.waitpid(self.pid, os.WNOHANG)) or ended[-1][0]), "it to end")
        os.close(self._screen)
        return os.waitstatus_to_exitcode(ended[-1][1])


def test_a_debugger_in_the_script_has_the_terminal(shop: Terminal) -> None:
    (shop.folder / "score.py").write_text(DEBUGGED)
    screen = Screen(shop.folder, "endpoint", "run", "churn:1", "--foreground", "--script", "score.py")
    url = re.findall(r"http://\S+", screen.until(r"http://\S+/score"))[0]
    answers: list[str | None] = []
    asking = threading.Thread(target=lambda: answers.append(_answer(url)))
    asking.start()
    assert "-> return value" in screen.until(r"\(Pdb\) ")
    screen.type("value = 42\n")
    screen.until(r"\(Pdb\) ")
    screen.type("continue\n")
    asking.join(PATIENCE_SECONDS)
    assert answers == ["42"]
    assert screen.end() == 128 + signal.SIGINT
    until(lambda: shop.processes() == [], "its process to end")
    assert shop.json("endpoint", "list") == [], "nothing of it is on record"
