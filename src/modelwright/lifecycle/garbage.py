"""Frees the disk of what nothing refers to: blobs that no row names, and folders of what was deleted."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from modelwright.lifecycle import recovery
from modelwright.lifecycle.sessions import Session, Stage
from modelwright.records import Collection
from modelwright.store import claims, garbage, naming
from modelwright.store.database import Store

# Where what is made of a thing lies, by the first word of its subject: `models/churn:3`, `runs/run_1`.
_PLACES = {"models": "packages", "runs": "runs"}


def collect(session: Session, *, is_dry: bool = False) -> Collection:
    """Delete what nothing refers to, or only find it when `is_dry`. Killed anywhere, it harms nothing.

    Waits until nobody adds files. Raises Busy when that takes too long.
    """
    store = session.store
    recovery.recover(session)
    with session.stage("look", "for files that nothing refers to") as stage:
        doing = "would be deleted" if is_dry else "deleted"
        with store.blobs.alone(on_wait=lambda holder: _waiting(session, holder)) as alone:
            found = garbage.collect(store, alone, is_dry=is_dry)
        leftover = list(_leftover(store))
        if not is_dry:
            for each in leftover:
                shutil.rmtree(each, ignore_errors=True)
        found = replace(found, folders=tuple(str(each.relative_to(store.folder)) for each in leftover))
        stage.decided = f"{len(found.garbage)} files, {found.size_bytes:,} bytes, {doing}"
    if not is_dry and (found.garbage or found.folders):
        with session.change() as opened:
            garbage.record(opened, found)
    return found


def _waiting(session: Session, holder: str) -> None:
    session.report(Stage("wait", f"for {holder}, which adds files"))


def _leftover(store: Store) -> Iterator[Path]:
    """Give the folders of things that were deleted, or renamed, by somebody who was killed before they went too."""
    for deletion in garbage.deletions(store):
        noun, _, name = deletion.subject.partition("/")
        if noun in _PLACES:
            folder = store.folder / _PLACES[noun] / name.replace(":", "/")
            if folder.is_dir() and not claims.is_claimed(store, name):
                yield folder
    with store.reader.connect() as connection:
        former = [store.folder / _PLACES["models"] / name for name in naming.names_now(connection)]
    yield from filter(Path.is_dir, former)
