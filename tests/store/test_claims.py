"""Claims die with their holder."""

import multiprocessing
import os
import signal
from multiprocessing.synchronize import Event
from pathlib import Path

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
    assert held.wait(30)
    claims.clear(store)
    (folder,) = (store.folder / "scratch").iterdir()
    assert folder.is_dir(), "a folder in use is left alone"
    process.kill()
    process.join()
    claims.clear(store)
    assert not folder.exists()
