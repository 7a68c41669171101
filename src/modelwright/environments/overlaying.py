"""Overlays: a lock's environment with one distribution more, and everything else exactly as the lock has it.

For libraries that look at a model from outside, such as shap: they are in no lock of the user's, and what they need
must not move a version that the model was made with. The overlay's lock is kept in the workspace, so that the index is
asked once.
"""

import json
import os
import secrets
from pathlib import Path

from modelwright.environments import placing
from modelwright.environments.inspection import inspect
from modelwright.environments.locking import pins, read_lock
from modelwright.environments.pinning import read_pins
from modelwright.environments.resolving import resolve
from modelwright.records import BuiltEnvironment, Lock, LockSource, Specification, SpecificationKind, Wanted
from modelwright.store.database import Store

_FORMAT = 1


def find_overlay(store: Store, lock: Lock, distribution: str) -> BuiltEnvironment | None:
    """Return the overlay when it is built, or when the lock has the distribution itself and is built; else None."""
    known = lock if distribution in pins(lock) else _kept(store, lock, distribution)
    return placing.find_in(store, known) if known else None


def build_overlay(store: Store, lock: Lock, distribution: str) -> BuiltEnvironment:
    """Return the environment of `lock` with `distribution`, resolved and built now unless it is there.

    Raises EnvironmentNotResolved when no version of it goes with the lock's versions or the index cannot be reached,
    and what building raises.
    """
    if distribution in pins(lock):
        return placing.build_in(store, lock)
    overlay = _kept(store, lock, distribution)
    if overlay is None:
        python = placing.build_in(store, lock).python
        overlay = resolve(_asking(lock, distribution), target=inspect(python), wheels=store.folder / "wheels").lock
        _keep(store, lock, distribution, overlay)
    return placing.build_in(store, overlay)


def _asking(lock: Lock, distribution: str) -> Specification:
    """Return what asks for the distribution and for each of the lock's, in its version and with its hashes."""
    path = Path(f"{distribution} for {lock.digest[:12]}")
    fixed = [Wanted(f"{each.name}=={each.version}", path.name, 0, each.hashes) for each in read_pins(lock)]
    return Specification(path, SpecificationKind.REQUIREMENTS, (Wanted(distribution, path.name, 0), *fixed))


def _place(store: Store, lock: Lock, distribution: str) -> Path:
    return store.folder / "environments" / f"{lock.digest}.with-{distribution}.json"


def _kept(store: Store, lock: Lock, distribution: str) -> Lock | None:
    try:
        kept = json.loads(_place(store, lock, distribution).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if kept["format"] != _FORMAT:
        return None
    return read_lock(
        kept["text"], python_version=lock.python_version, platform=lock.platform, source=LockSource(kept["source"])
    )


def _keep(store: Store, lock: Lock, distribution: str, overlay: Lock) -> None:
    place = _place(store, lock, distribution)
    partial = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    partial.write_text(
        json.dumps({"format": _FORMAT, "text": overlay.text, "source": overlay.source}), encoding="utf-8"
    )
    os.replace(partial, place)  # noqa: PTH105 - in one step, whoever else does it too
