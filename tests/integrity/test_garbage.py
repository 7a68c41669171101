"""`wright gc` deletes what nothing refers to, says why nothing does, and harms nothing wherever it is killed."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from integrity import things
from integrity.checking import dangling

from modelwright.lifecycle import deletion, garbage, recovery
from modelwright.lifecycle.sessions import Session, Stage
from modelwright.models import packages
from modelwright.runs.active import run_folder
from modelwright.settings import child_environment
from modelwright.store import audit, models
from modelwright.store.database import Store, open_store


def test_exactly_the_blobs_of_what_was_deleted_are_freed(session: Session) -> None:
    blobs = session.store.blobs
    run = things.add_run(session)
    things.add_version(session, run=run, content="shared")
    kept = blobs.digests()
    version = things.add_version(session, content="shared")
    data = things.add_data(session, "one", "two", is_packed=True)
    before = blobs.digests()
    assert garbage.collect(session).garbage == ()
    deletion.delete_model(session, "churn:2")
    deletion.delete_dataset(session, "sales:1")
    freed = {each.digest for each in (*version.files, *data.files)} - {things.hexadecimal("shared")}
    assert len(freed) == 3

    found = garbage.collect(session, is_dry=True)
    assert {each.digest for each in found.garbage} == freed
    assert blobs.digests() == before
    found = garbage.collect(session)
    assert {each.digest for each in found.garbage} == freed == before - blobs.digests()
    assert blobs.digests() == kept
    assert found.size_bytes == sum(each.size_bytes for each in (version.files[0], *data.files))
    assert (found.named, found.present, found.still_present, found.lost) == (len(kept), len(kept), len(kept), ())
    (record,) = [each for each in audit.list_audit_records(session.store) if each["action"] == "garbage.collected"]
    assert (record["after"]["blobs"], record["why"]) == (3, "no longer needed")


def test_a_dry_run_says_of_each_file_why_nothing_names_it(session: Session, tmp_path: Path) -> None:
    version = things.add_version(session, content="old")
    deletion.delete_model(session, "churn:1")
    (tmp_path / "upload").write_text("lost")
    with session.store.blobs.batch() as batch:
        lost = batch.add(tmp_path / "upload")
    reasons = {each.digest: each.why for each in garbage.collect(session, is_dry=True).garbage}
    assert set(reasons) == {lost, *(each.digest for each in version.files)}
    told = reasons[version.files[0].digest]
    assert told.startswith("named last by models/churn:1, which ada deleted at 20")
    assert told.endswith(', because "no longer needed"')
    assert "an upload that never finished" in reasons[lost]


def test_the_last_deletion_is_the_one_that_is_told(session: Session) -> None:
    for _ in range(2):
        things.add_version(session, content="same")
    for number in (2, 1):
        deletion.delete_model(session, f"churn:{number}")
    reasons = {each.digest: each.why for each in garbage.collect(session, is_dry=True).garbage}
    assert "models/churn:1" in reasons[things.hexadecimal("same")]


def test_folders_of_what_was_deleted_by_somebody_who_was_killed_go_too(session: Session) -> None:
    run, version = things.add_run(session), things.add_version(session)
    deletion.delete_run(session, run.id)
    deletion.delete_model(session, version.reference)
    folders = [run_folder(session.store, run.id), packages.package_folder(session.store, version)]
    unknown = run_folder(session.store, "run_that_begins")
    for each in (*folders, unknown):
        each.mkdir(parents=True)
    assert set(garbage.collect(session, is_dry=True).folders) == {f"runs/{run.id}", "packages/churn/1"}
    garbage.collect(session)
    assert not any(each.exists() for each in folders)
    assert unknown.exists()


def test_what_is_missing_already_is_told_and_not_blamed_on_it(session: Session) -> None:
    version = things.add_version(session)
    session.store.blobs.path(version.files[0].digest).unlink()
    found = garbage.collect(session)
    assert (found.missing, found.lost) == ((version.files[0].digest,), ())
    assert (found.named, found.present, found.still_present) == (2, 1, 1)


def test_a_command_clears_unfinished_copies_and_leaves_the_rest_to_gc(session: Session, tmp_path: Path) -> None:
    (tmp_path / "upload").write_text("lost")
    with session.store.blobs.batch() as batch:
        batch.add(tmp_path / "upload")
    (session.store.blobs.folder / "partial" / "1-half").write_text("half")
    assert recovery.recover(session).unfinished_count == 1
    assert len(session.store.blobs.digests()) == 1


_ADDING = """
import sys
from pathlib import Path
from modelwright.store.database import open_store
with open_store(Path(sys.argv[1])).blobs.batch():
    print("adding", flush=True)
    sys.stdin.read()
"""


def test_it_waits_for_whoever_adds_files_and_says_who_that_is(store: Store) -> None:
    command = [sys.executable, "-c", _ADDING, store.folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == "adding\n"
        told: list[Stage] = []

        def report(stage: Stage) -> None:
            told.append(stage)
            if stage.name == "wait":
                process.stdin.close()  # type: ignore[union-attr]

        things.add_version(Session(store, "ada"))
        assert garbage.collect(Session(store, "ada", report)).named == 2
    waited = [each.doing for each in told if each.name == "wait"]
    assert waited[0].startswith(f"for process {process.pid} (")


# Deletes as `wright gc` does in copies of a workspace, killed in each before another of its changes to a folder, until
# one lives; prints how many were killed.
_KILLED = """
import os, pathlib, shutil, signal, sys
from modelwright.lifecycle import garbage
from modelwright.lifecycle.sessions import Session
from modelwright.store.database import open_store

def limited(real):
    def call(*arguments, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*arguments, **options)
    return call

steps = 0
while True:
    folder = pathlib.Path(sys.argv[2], f"copy-{steps}", ".wright")
    shutil.copytree(sys.argv[1], folder)
    child = os.fork()
    if child == 0:
        store, left = open_store(folder), steps
        for name in ("unlink", "replace", "rename", "rmdir", "mkdir"):
            setattr(os, name, limited(getattr(os, name)))
        garbage.collect(Session(store, "ada"))
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != -signal.SIGKILL:
        print(steps)
        sys.exit(status)
    steps += 1
"""


@pytest.mark.slow
def test_it_can_be_killed_before_any_of_its_steps(session: Session, tmp_path: Path) -> None:
    store = session.store
    things.add_version(session, run=things.add_run(session))
    things.add_data(session, "one", "two", "three", is_packed=True)
    things.add_data(session, "two", name="part")
    doomed = [things.add_version(session, content="large"), things.add_version(session, content="small")]
    for each in doomed:
        deletion.delete_model(session, each.reference)
    deletion.delete_dataset(session, "sales")
    packages.package_folder(store, doomed[0]).mkdir(parents=True)
    before = store.blobs.digests()

    command = [sys.executable, "-c", _KILLED, store.folder, tmp_path]
    done = subprocess.run(command, check=True, env=child_environment({}), capture_output=True, text=True)
    steps = int(done.stdout)
    assert steps > 8
    left: dict[int, set[str]] = {}
    for number in range(steps + 1):
        with contextlib.closing(open_store(tmp_path / f"copy-{number}" / ".wright")) as copy:
            assert list(dangling(copy)) == []
            assert [each.reference for each in models.list_versions(copy)] == ["churn:1"]
            if number < steps:
                garbage.collect(Session(copy, "ada"))
                assert list(dangling(copy)) == []
                assert not list((copy.blobs.folder / "partial").iterdir())
            left[number] = copy.blobs.digests()
    assert left[0] < before
    assert all(each == left[0] for each in left.values())
