"""Bytes never change: what was registered is what is read, or the difference is named."""

import logging
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from models.served import Wright

from modelwright.errors import FolderTaken, VersionDamaged
from modelwright.lifecycle import recovery, registering
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages, packing
from modelwright.records import ModelVersion
from modelwright.store import audit, blobs, database, models
from modelwright.store.blobs import Batch
from modelwright.store.changes import Change, change
from modelwright.store.database import Store


@pytest.fixture
def version(folder: Path, workspace: Store, wright: Wright) -> ModelVersion:
    """A registered version of two files."""
    (folder / "m").mkdir()
    (folder / "m" / "one.bin").write_bytes(b"one")
    (folder / "m" / "two.bin").write_bytes(b"two")
    wright("register", "m", "--name", "churn")
    return models.find_version(workspace, "churn:1")


def _edit(path: Path, text: str) -> None:
    path.chmod(0o644)
    path.write_text(text)


def test_a_restored_file_that_was_edited_is_named_and_written_again(
    workspace: Store, version: ModelVersion, wright: Wright, caplog: pytest.LogCaptureFixture
) -> None:
    package = packages.restore(workspace, version)
    _edit(package / "model" / "m" / "one.bin", "abc")  # of the same length
    (package / "model" / "m" / "two.bin").unlink()

    assert "one.bin" in wright("verify", "churn:1", code=1)
    assert [each["found"] == "" for each in wright("verify", "churn:1", "--json", code=1)["faults"]] == [False, True]
    with caplog.at_level(logging.WARNING):
        packages.restore(workspace, version)
    assert [Path(each.args[0]).name for each in caplog.records if each.args] == ["one.bin", "two.bin"]  # type: ignore[index]
    assert (package / "model" / "m" / "one.bin").read_bytes() == b"one"
    assert wright("verify", "churn:1", "--json")["faults"] == []


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_damaged_blob_is_never_given_out(
    folder: Path, workspace: Store, version: ModelVersion, wright: Wright, *, is_gone: bool
) -> None:
    (file,) = (each for each in version.files if each.path.endswith("one.bin"))
    blob = workspace.blobs.path(file.digest)
    _edit(blob, "abc")
    if is_gone:
        blob.unlink()
    for read in (lambda: packages.restore(workspace, version), lambda: wright("download", "churn:1", "out")):
        with pytest.raises(VersionDamaged, match=r'churn:1 is not what was registered: file "model/m/one\.bin" is'):
            read()
    assert not (folder / "out").exists()
    assert not packages.package_folder(workspace, version).exists()
    (fault,) = wright("verify", "churn:1", "--json", code=1)["faults"]
    assert (fault["file"], fault["expected"]) == ("model/m/one.bin", file.digest)


def test_a_package_that_is_whole_is_not_written_again(
    workspace: Store, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = packages.restore(workspace, version)
    monkeypatch.setattr(packages, "lay_out", None)
    assert packages.restore(workspace, version) == package


def test_a_download_goes_nowhere_where_something_is(folder: Path, version: ModelVersion, wright: Wright) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("mine")
    with pytest.raises(FolderTaken):
        wright("download", "churn:1", "out")
    (folder / "out" / "mine.txt").unlink()
    wright("download", "churn:1", "out")
    assert not list(folder.glob(".out*"))


# --- many processes, and processes that are killed ---


def _register(folder: Path, number: int) -> None:
    (folder / str(number)).mkdir()
    (folder / str(number) / "model.bin").write_bytes(os.urandom(200_000))
    store = database.open_store(folder / ".wright")
    order = registering.Order([str(number)], folder, "churn")
    registering.register(Session(store, f"process {number}"), order)
    store.close()


def test_twenty_processes_that_register_packages_at_once_get_twenty_consecutive_numbers(
    folder: Path, workspace: Store, processes: Any
) -> None:
    started = [processes.Process(target=_register, args=(folder, number)) for number in range(20)]
    for each in started:
        each.start()
    for each in started:
        each.join(300)
    assert [each.exitcode for each in started] == [0] * 20
    found = models.list_versions(workspace)
    assert sorted(each.version for each in found) == list(range(1, 21))
    assert len({each.digest for each in found}) == 20
    assert all(packages.verify(workspace, each) == [] for each in found)


def _write(folder: Path, number: int) -> None:
    store = database.open_store(folder / ".wright")
    version = models.find_version(store, "churn:1")
    for step in range(5):
        with change(store, actor=f"process {number}") as opened:
            models.change_tags(opened, version, added={f"tag{number}": str(step)})
            models.move_alias(opened, version, alias=f"alias{number}")
    store.close()


def test_32_processes_that_write_at_once_meet_no_lock(
    folder: Path, workspace: Store, version: ModelVersion, processes: Any
) -> None:
    started = [processes.Process(target=_write, args=(folder, number)) for number in range(32)]
    for each in started:
        each.start()
    for each in started:
        each.join(300)
    assert [each.exitcode for each in started] == [0] * 32
    found = models.find_version(workspace, "churn:1")
    assert found.tags == {f"tag{number}": "4" for number in range(32)}
    assert len(found.aliases) == 32
    assert len(audit.list_audit_records(workspace, subject="models/churn:1")) == 1 + 32 * 5


def _killed(folder: Path, stage: str) -> None:
    def die(*_arguments: object, **_options: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    add_version = models.add_version

    def add_and_die(opened: Change, *arguments: Any, **options: Any) -> None:
        add_version(opened, *arguments, **options)
        die()

    add_all = Batch.add_all

    def keep_and_die(batch: Batch, *arguments: Any, **options: Any) -> None:
        add_all(batch, *arguments, **options)
        die()

    place: tuple[Any, str, Any] = {
        "sealing": (packing, "_sealed", die),
        "adding": (blobs, "_sync_all", die),
        "kept": (Batch, "add_all", keep_and_die),
        "recording": (models, "add_version", add_and_die),
    }[stage]
    setattr(*place)
    _register(folder, 1)


@pytest.mark.parametrize("stage", ["sealing", "adding", "kept", "recording"])
def test_a_registration_that_was_killed_leaves_nothing_and_takes_no_number(
    folder: Path, workspace: Store, processes: Any, stage: str
) -> None:
    started = processes.Process(target=_killed, args=(folder, stage))
    started.start()
    started.join(300)
    assert started.exitcode == -signal.SIGKILL
    assert models.list_versions(workspace) == []

    recovery.recover(Session(workspace, "ada"))
    assert not list((workspace.folder / "blobs" / "partial").glob("*"))
    assert not list((workspace.folder / "scratch").glob("*"))
    assert not list((workspace.folder / "claims").glob("*"))
    shutil.rmtree(folder / "1")
    _register(folder, 1)
    assert [each.reference for each in models.list_versions(workspace)] == ["churn:1"]
