"""Child processes end when they should: with their command, at the time limit, with their parent."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from modelwright import processes
from modelwright.errors import CommandMissing, CommandTimedOut

ENVIRONMENT = dict(os.environ)
# Starts a grandchild, tells both ids, and waits for ever. STUBBORN ones ignore being asked to end.
FAMILY = """
import os, signal, subprocess, sys
if "STUBBORN" in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
with open(os.environ["TELL"], "w") as told:
    print(os.getpid(), grandchild.pid, file=told)
signal.pause()
"""
# Ends at once and leaves behind a process that ignores being asked to end and holds standard output open.
LEAVING = """
import os, signal, subprocess, sys
left = subprocess.Popen([sys.executable, "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open(%r, 'w').close(); signal.pause()"])
os.close(os.open(%r, os.O_RDONLY))
print(left.pid, flush=True)
"""
# Ctrl-C is what it is at a terminal, even when the tests run in the background of a shell, which has it ignored.
PARENT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from modelwright import processes
processes.run([sys.executable, "-c", sys.argv[1]], folder=Path("/"), environment=dict(os.environ))
"""


def run(program: str, folder: Path, **more: float) -> processes.Finished:
    """Run a Python program under the guard."""
    return processes.run([sys.executable, "-c", program], folder=folder, environment=ENVIRONMENT, **more)  # type: ignore[arg-type]


def family(tell: Path) -> list[psutil.Process]:
    """Return the processes whose ids come through the pipe."""
    return [psutil.Process(int(number)) for number in tell.read_text(encoding="utf-8").split()]


def assert_ended(members: list[psutil.Process]) -> None:
    """Wait until all have ended; fail when one has not after two minutes."""
    _, alive = psutil.wait_procs(members, timeout=120)
    assert alive == []


def test_what_was_printed_and_the_exit_code_come_back(tmp_path: Path) -> None:
    finished = run("import sys, os; print(os.getcwd()); print('no', file=sys.stderr); sys.exit(7)", tmp_path)
    assert finished == processes.Finished(7, f"{tmp_path}\n", "no\n")


def test_a_signal_that_ended_the_command_shows_in_the_exit_code(tmp_path: Path) -> None:
    assert run("import os; os.abort()", tmp_path).returncode == 128 + signal.SIGABRT


def test_the_command_has_nothing_to_read(tmp_path: Path) -> None:
    assert run("import sys; print(repr(sys.stdin.read()))", tmp_path).stdout == "''\n"


def test_output_larger_than_a_pipe_comes_back_whole(tmp_path: Path) -> None:
    assert len(run("print('x' * 3_000_000)", tmp_path).stdout) == 3_000_001


def test_a_command_that_cannot_be_started_says_so(tmp_path: Path) -> None:
    finished = processes.run(["no-such-program"], folder=tmp_path, environment=ENVIRONMENT)
    assert finished == processes.Finished(127, "", "no-such-program: No such file or directory\n")


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandMissing, match="no-such-program"):
        processes.run([tmp_path / "no-such-program"], folder=tmp_path, environment=ENVIRONMENT)


@pytest.fixture
def tell(tmp_path: Path) -> Path:
    """A named pipe that a family tells its ids through; reading it waits for them."""
    os.mkfifo(tmp_path / "tell")
    return tmp_path / "tell"


@pytest.mark.parametrize("manner", ["OBEDIENT", "STUBBORN"])
def test_ending_a_process_ends_the_whole_tree(tell: Path, manner: str) -> None:
    environment = ENVIRONMENT | {"TELL": str(tell), manner: "1"}
    with processes.start([sys.executable, "-c", FAMILY], folder=tell.parent, environment=environment) as process:
        members = family(tell)
        processes.end(process, grace_seconds=0.2)
    assert_ended(members)


def test_a_command_past_its_time_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CommandTimedOut, match=r"was ended after 0\.3 s"):
        run("import signal; signal.pause()", tmp_path, timeout_seconds=0.3)


def test_what_the_command_left_behind_does_not_survive_it(tmp_path: Path) -> None:
    pipe = str(tmp_path / "ready")
    os.mkfifo(pipe)
    finished = run(LEAVING % (pipe, pipe), tmp_path, timeout_seconds=120)
    assert finished.returncode == 0
    number = int(finished.stdout)
    assert_ended([psutil.Process(number)] if psutil.pid_exists(number) else [])


@pytest.mark.parametrize("manner", ["OBEDIENT", "STUBBORN"])
def test_kill_9_of_the_parent_ends_the_whole_tree(tell: Path, manner: str) -> None:
    environment = ENVIRONMENT | {"TELL": str(tell), manner: "1"}
    with subprocess.Popen([sys.executable, "-c", PARENT, FAMILY], env=environment) as parent:
        members = family(tell)
        parent.kill()
    assert_ended(members)


def test_kill_9_of_the_guard_ends_the_whole_tree(tell: Path) -> None:
    environment = ENVIRONMENT | {"TELL": str(tell)}
    with processes.start([sys.executable, "-c", FAMILY], folder=tell.parent, environment=environment) as process:
        members = family(tell)
        process.kill()
        assert_ended(members)


def test_a_guard_that_leads_no_group_does_not_end_its_parents(tmp_path: Path) -> None:
    with subprocess.Popen(processes.guarded(["true"]), stdin=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.wait(120) == 0


def test_ctrl_c_ends_the_whole_tree_and_then_the_parent(tell: Path) -> None:
    environment = ENVIRONMENT | {"TELL": str(tell)}
    command = [sys.executable, "-c", PARENT, FAMILY]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as parent:
        members = family(tell)
        parent.send_signal(signal.SIGINT)
        try:
            _, stderr = parent.communicate(timeout=120)
        finally:
            parent.kill()
    assert b"KeyboardInterrupt" in stderr
    assert_ended(members)


def test_nothing_stays_open_in_the_parent(tmp_path: Path) -> None:
    run("pass", tmp_path)
    gc.collect()  # what other tests have left behind may close files of its own
    before = psutil.Process().num_fds()
    run("print('x')", tmp_path)
    with pytest.raises(CommandTimedOut):
        run("import signal; signal.pause()", tmp_path, timeout_seconds=0.2)
    assert psutil.Process().num_fds() == before


def test_who_is_detached_serves_on_when_nobody_waits_for_its_report() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    processes.tell(writing, b"it serves")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writing)
