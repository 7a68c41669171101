"""The front starts, outlives who started it, stops, and leaves nothing behind."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelwright.errors import EndpointNotReached, EndpointNotRunning, EndpointOutdated, FolderNotWritable, NoFreePort
from modelwright.records import CaptureMode, CaptureSettings, FrontSettings
from modelwright.serving import commands, control

ECHO = "def init(): pass\ndef run(data): return data"


def is_listening(port: int) -> bool:
    with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def test_a_started_front_tells_of_itself(served: Any) -> None:
    served.start()
    status = served.status()
    assert status == served.started
    assert (status.endpoint, status.host, status.version, status.is_healthy) == ("diabetes", "127.0.0.1", None, False)
    assert status.url == f"http://127.0.0.1:{status.port}/score"
    assert served.ask("GET", "/").status == 503
    assert served.ask(body="x").status == 503
    told = json.loads((served.runtime_folder / "diabetes.json").read_text())
    assert (told["pid"], told["port"], told["format_version"]) == (status.pid, status.port, 1)
    assert stat.S_IMODE(served.runtime_folder.stat().st_mode) == 0o700


def test_starting_what_runs_leaves_it_as_it_is(served: Any) -> None:
    served.start()
    before = served.started
    served.start()
    assert served.started == before


def test_starts_at_once_give_one_front(served: Any) -> None:
    pids: list[int] = []

    def start() -> None:
        served.start()
        pids.append(served.started.pid)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(pids) == 3
    assert served.status().pid in pids
    assert len(set(pids)) == 1


def test_stopping_leaves_no_process_no_file_and_no_port(served: Any) -> None:
    served.start()
    served.deploy(ECHO)
    assert served.ask(body="x").status == 200
    family = served.family()
    assert len(served.workers()) == 1
    assert served.stop()
    assert [each for each in family if served.is_alive(each)] == []
    assert list(served.runtime_folder.iterdir()) == []
    assert not is_listening(served.started.port)
    assert served.status() is None
    assert not served.stop()


def test_stopping_lets_requests_finish(served: Any, tmp_path: Path) -> None:
    served.start()
    gate = tmp_path / "gate"
    served.deploy(
        f"""
        import os, threading
        def init(): pass
        def run(data):
            open({str(gate)!r} + ".begun", "w").close()
            while not os.path.exists({str(gate)!r}):
                threading.Event().wait(0.005)
            return data
        """
    )
    given: list[Any] = []
    asking = threading.Thread(target=lambda: given.append(served.ask(body="x")))
    asking.start()
    served.wait_for(Path(f"{gate}.begun").exists, "the request is inside run()")
    stopping = threading.Thread(target=served.stop)
    stopping.start()
    served.wait_for(lambda: not is_listening(served.started.port), "no new client is taken")
    gate.touch()
    asking.join(120)
    stopping.join(120)
    assert (given[0].status, given[0].body) == (200, '"x"')
    assert given[0].headers["connection"] == "close"


def test_a_request_that_does_not_end_is_not_waited_for_for_ever(served: Any) -> None:
    served.start()
    served.deploy("import threading\ndef init(): pass\ndef run(data): threading.Event().wait()")
    family = served.family()
    with served.raw() as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert served.stop(timeout_seconds=0.3)
        assert client.recv(100).startswith(b"HTTP/1.1 503 ")
    assert [each for each in family if served.is_alive(each)] == []


def test_a_front_that_does_not_answer_is_killed(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_ASK_SECONDS", 0.3)
    monkeypatch.setattr(control, "_END_SECONDS", 2.0)
    served.start()
    served.deploy(ECHO)
    family = served.family()
    family[0].suspend()
    assert served.stop()
    served.wait_for(lambda: not any(map(served.is_alive, family)), "every process is gone")
    assert list(served.runtime_folder.iterdir()) == []


def test_a_killed_front_leaves_no_worker_and_can_be_started_again(served: Any) -> None:
    served.start()
    served.deploy(ECHO)
    family = served.family()
    os.kill(family[0].pid, signal.SIGKILL)
    served.wait_for(lambda: not any(map(served.is_alive, family)), "front and worker are gone")
    assert served.status() is None
    port = served.started.port
    served.start(port=port)
    served.deploy(ECHO)
    assert served.started.port == port
    assert served.ask(body="x").status == 200


def test_a_worker_that_hangs_in_c_code_ends_with_its_front(served: Any) -> None:
    served.start()
    served.deploy(
        """
        import sys
        def init(): sys.set_int_max_str_digits(0)
        def run(data): return len(str(10 ** 40_000_000 // 7))
        """
    )
    family, worker = served.family(), served.workers()[0]
    with served.raw() as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        served.wait_for(lambda: worker.cpu_times().user > 0.2, "the worker computes")
        os.kill(family[0].pid, signal.SIGKILL)
    served.wait_for(lambda: not any(map(served.is_alive, family)), "front and worker are gone")


def test_a_signal_to_end_is_a_stop(served: Any) -> None:
    served.start()
    served.deploy(ECHO)
    family = served.family()
    family[0].terminate()
    served.wait_for(lambda: not any(map(served.is_alive, family)), "front and worker are gone")
    assert list(served.runtime_folder.iterdir()) == []


def test_a_process_that_got_a_dead_fronts_number_is_left_alone(served: Any) -> None:
    served.start()
    dead = psutil.Process(served.started.pid)
    dead.kill()
    served.wait_for(lambda: not served.is_alive(dead), "the front is gone")
    state = served.runtime_folder / "diabetes.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"pid": os.getpid()}))
    assert served.status() is None
    assert not served.stop()


def test_a_front_outlives_the_command_that_started_it_and_holds_none_of_its_pipes(served: Any) -> None:
    program = f"""
from pathlib import Path
from modelwright.serving import control
folder = Path({str(served.folder)!r})
status = control.start("diabetes", runtime_folder=Path({str(served.runtime_folder)!r}), log=folder / "logs" / "x",
                     capture_folder=folder)
print(status.pid)
"""
    # run() returns only when every holder of the pipes has closed them.
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert served.status().pid == int(finished.stdout)
    assert os.getsid(int(finished.stdout)) != os.getsid(0)


def test_a_taken_port_is_named_with_its_holder(served: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(NoFreePort, match=str(port)) as caught:
            served.start(port=port)
    assert f"process {os.getpid()} (" in str(caught.value)
    assert "--port" in caught.value.next_command
    served.wait_for(lambda: not list(served.runtime_folder.iterdir()), "nothing is left of it")


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_number_that_is_no_port_is_refused(served: Any, port: int) -> None:
    with pytest.raises(NoFreePort, match=str(port)):
        served.start(port=port)


def test_a_runtime_folder_of_somebody_else_is_not_used(served: Any, tmp_path: Path) -> None:
    served.runtime_folder.symlink_to(tmp_path)
    with pytest.raises(FolderNotWritable, match="belongs to somebody else"):
        served.start()
    served.runtime_folder.unlink()


def test_a_front_whose_workspace_is_deleted_ends(served: Any) -> None:
    served.start()
    served.deploy(ECHO)
    family = served.family()
    shutil.rmtree(served.folder)
    served.wait_for(lambda: not any(map(served.is_alive, family)), "front and worker are gone")


def test_a_deployment_is_taken_back_when_its_command_is_killed(served: Any, tmp_path: Path) -> None:
    served.start()
    served.deploy(ECHO)
    begun = tmp_path / "begun"
    script = (
        f"import threading\nopen({str(begun)!r}, 'w').close()\ndef run(data): ...\ndef init(): threading.Event().wait()"
    )
    spec = served.spec(script, version=2)
    program = f"""
from pathlib import Path, PosixPath
from modelwright.records import WorkerSpec
from modelwright.serving import control
control.deploy("diabetes", runtime_folder=Path({str(served.runtime_folder)!r}), worker={spec!r})
"""
    with subprocess.Popen([sys.executable, "-c", program]) as command:
        try:
            served.wait_for(begun.exists, "the new version is inside init()")
            count = len(served.workers())
        finally:
            command.kill()
    assert count == 2
    served.wait_for(lambda: len(served.workers()) == 1, "the new version is gone")
    assert served.ask(body="x").body == '"x"'
    served.deploy(ECHO, version=3)
    assert served.status().version == "diabetes:3"


def test_nobody_can_deploy_to_what_does_not_run(served: Any) -> None:
    with pytest.raises(EndpointNotRunning, match="diabetes"):
        served.deploy(ECHO)


def test_scoring_gives_the_answer_whatever_its_status(served: Any) -> None:
    served.start()
    served.deploy("def init(): pass\ndef run(data): return 1 / len(data)")
    good = control.score(served.started.url, "xx", headers={"x-request-id": "r"})
    assert (good.status, good.body, good.request_id, good.version) == (200, "0.5", "r", "diabetes:1")
    assert control.score(served.started.url, b"").status == 500
    served.stop()
    with pytest.raises(EndpointNotReached, match=str(served.started.port)):
        control.score(served.started.url, "x")
    with pytest.raises(EndpointNotReached):
        control.score("file:///etc/hostname", "x")


@dataclass(frozen=True)
class LaterSettings(FrontSettings):
    """What a later build tells a front."""

    colour: str = "red"


def test_settings_that_a_full_disk_keeps_from_being_taken_change_nothing(served: Any) -> None:
    served.start()
    salt = served.folder / "capture" / "salt"
    salt.mkdir(parents=True)
    settings = FrontSettings(capture=CaptureSettings(mode=CaptureMode.OFF, hashed=("email",)))
    with pytest.raises(FolderNotWritable, match="Is a directory"):
        control.configure("diabetes", settings, runtime_folder=served.runtime_folder)
    assert served.status().capture.mode is CaptureMode.DURABLE
    salt.rmdir()


def test_a_front_of_another_protocol_is_named_and_can_be_stopped(
    served: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served.start()
    monkeypatch.setattr(commands, "PROTOCOL", 99)
    with pytest.raises(EndpointOutdated, match=r"it speaks protocol 1, the command protocol 99"):
        control.status("diabetes", runtime_folder=served.runtime_folder)
    with pytest.raises(EndpointOutdated, match="protocol 99"):
        control.renew("diabetes", 1.0, runtime_folder=served.runtime_folder)
    assert control.stop("diabetes", runtime_folder=served.runtime_folder)
    with pytest.raises(FolderNotWritable, match="too long"):
        control.renew("diabetes", 1.0, runtime_folder=tmp_path / ("long" * 30))


def test_a_front_that_does_not_know_what_it_is_told_says_so_and_goes_on(served: Any) -> None:
    served.start()
    with pytest.raises(EndpointOutdated, match=r"of the command .configure., it: .colour. is not known"):
        control.configure("diabetes", LaterSettings(), runtime_folder=served.runtime_folder)
    assert served.status() == served.started
