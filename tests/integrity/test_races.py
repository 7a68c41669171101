"""Two processes at once: one uses what the other deletes. One of them loses cleanly, and nothing dangles."""

import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from integrity import things
from integrity.checking import dangling
from integrity.racing import serve

from modelwright.lifecycle.sessions import Session
from modelwright.store.database import Store, open_store

ROUNDS = 24


@pytest.fixture(scope="module")
def racing(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A workspace for all races."""
    folder = tmp_path_factory.mktemp("races") / ".wright"
    shutil.copytree(empty, folder)
    opened = open_store(folder)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def racers(racing: Store) -> Iterator[list[Connection]]:
    """Two processes that do what they are sent."""
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(2)]
    processes = [context.Process(target=serve, args=(racing.folder, theirs)) for _, theirs in pairs]
    for each in processes:
        each.start()
    for _, theirs in pairs:
        theirs.close()  # or a racer that dies would be waited for
    ours = [each for each, _ in pairs]
    assert [_came(each) for each in ours] == ["ready"] * 2
    yield ours
    for each in ours:
        each.send(None)
        each.close()
    for each in processes:
        each.join(30)


def _came(racer: Connection) -> Any:
    assert racer.poll(300), "it says nothing"
    return racer.recv()


def _race(racers: list[Connection], acts: tuple[str, str], thing: object, number: int) -> list[str]:
    """Have both done, by turns one before the other, the other before the one, and both at once."""
    order = [(racers[0], acts[0]), (racers[1], acts[1])]
    if number % 2:
        order.reverse()
    came: dict[str, str] = {}
    for racer, act in order:
        racer.send((act, thing))
        if number % 3 == 0:
            came[act] = _came(racer)
    return [came.get(act) or _came(racer) for racer, act in zip(racers, acts, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("acts", "make", "ways"),
    [
        (
            ("delete_model", "deploy"),
            things.add_version,
            {("done", "model-missing"), ("in-use", "done")},
        ),
        (
            ("delete_model", "move_alias"),
            things.add_version,
            {("done", "model-missing"), ("in-use", "done")},
        ),
        (
            ("delete_run", "register"),
            things.add_run,
            {("done", "deleted-meanwhile"), ("in-use", "done")},
        ),
        (
            ("delete_dataset", "read_in_run"),
            lambda session: things.add_data(session, "one", "two", is_packed=True),
            {("done", "dataset-missing"), ("done", "deleted-meanwhile"), ("in-use", "done")},
        ),
    ],
    ids=lambda value: " against ".join(value) if isinstance(value, tuple) else "",
)
def test_one_loses_cleanly_and_nothing_dangles(
    racing: Store,
    racers: list[Connection],
    acts: tuple[str, str],
    make: Callable[[Session], Any],
    ways: set[tuple[str, str]],
) -> None:
    session = Session(racing, "ada")
    outcomes = set()
    for number in range(ROUNDS):
        outcomes.add(tuple(_race(racers, acts, make(session), number)))
        if number % 4 == 0:
            assert list(dangling(session.store)) == []
    assert outcomes <= ways
    assert {first for first, _ in outcomes} == {"done", "in-use"}
    assert list(dangling(session.store)) == []
