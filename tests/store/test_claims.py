"""Claims die with their holder."""

import contextlib
import fcntl
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelwright.errors import Busy
from modelwright.store import claims, database
from modelwright.store.database import Store


def test_a_claim_lasts_as_long_as_its_block(store: Store) -> None:
    with claims.claim(store, "run_1"):
        assert claims.is_claimed(store, "run_1")
    assert not claims.is_claimed(store, "run_1")
    assert list((store.folder / "claims").iterdir()) == []


def test_a_taken_claim_names_its_holder(store: Store) -> None:
    second = claims.claim(store, "ship-churn")
    with claims.claim(store, "ship-churn"), pytest.raises(Busy, match=f"process {os.getpid()}"):
        second.__enter__()


def _hold(folder: Path, held: Event) -> None:
    with claims.scratch_folder(database.open_store(folder)):
        held.set()
        signal.pause()


def test_a_killed_holder_leaves_no_claim_and_its_scratch_folder_is_cleared(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(store.folder, held))
    process.start()
    assert held.wait(300)
    claims.clear(store)
    (folder,) = (store.folder / "scratch").iterdir()
    assert folder.is_dir(), "a folder in use is left alone"
    process.kill()
    process.join(300)
    claims.clear(store)
    assert not folder.exists()


def _meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let `act` happen when the next claim's file has been opened and is not locked yet."""

    def lock(handle: object, kind: int) -> None:
        monkeypatch.undo()
        act()
        fcntl.flock(handle, kind)  # type: ignore[arg-type]

    changed = SimpleNamespace(flock=lock, LOCK_EX=fcntl.LOCK_EX, LOCK_SH=fcntl.LOCK_SH, LOCK_NB=fcntl.LOCK_NB)
    monkeypatch.setattr(claims, "fcntl", changed)


@pytest.mark.parametrize("look", [claims.is_claimed, claims.is_abandoned, claims.holder])
def test_who_looks_leaves_the_claim_alone_that_another_has_come_by_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch, look: Callable[[Store, str], object]
) -> None:
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(claims.claim(store, "run_1"))

        def change_hands() -> None:
            first.close()
            second.enter_context(claims.claim(store, "run_1"))

        _meanwhile(monkeypatch, change_hands)
        look(store, "run_1")
        assert claims.is_claimed(store, "run_1")
        assert claims.holder(store, "run_1") == os.getpid()
    assert list((store.folder / "claims").iterdir()) == []


def test_a_claim_is_to_be_had_whose_file_is_cleared_away_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store.folder / "claims").mkdir()
    _meanwhile(monkeypatch, lambda: claims.clear(store))
    with claims.claim(store, "run_1"):
        assert claims.is_claimed(store, "run_1")


@pytest.mark.parametrize("written", ["", "999999999"])
def test_who_only_looks_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    file = store.folder / "claims" / "run_1"
    file.parent.mkdir()
    file.write_text(written)
    with contextlib.ExitStack() as looking:

        def look() -> None:
            handle = looking.enter_context(file.open())
            fcntl.flock(handle, fcntl.LOCK_EX)

        look()
        waited = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _seconds: looking.close())
        monkeypatch.setattr(claims, "time", waited)
        assert claims.is_abandoned(store, "run_1")
        look()
        with claims.claim(store, "run_1"):
            assert claims.holder(store, "run_1") == os.getpid()
        file.write_text(written)
        look()
        assert not claims.is_claimed(store, "run_1")
        assert not file.exists()
