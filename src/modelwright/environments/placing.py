"""The built environments of a workspace: below its folder, one for each lock, whoever asks and by whichever name."""

from dataclasses import dataclass
from pathlib import Path

from modelwright.environments import building
from modelwright.environments.interpreters import interpreter_for
from modelwright.errors import EnvironmentInUse
from modelwright.records import BuiltEnvironment, Lock
from modelwright.store import environments
from modelwright.store.database import Store


@dataclass(frozen=True)
class Size:
    """What a built environment takes: all its files, and those that no cache or other environment shares with it."""

    size_bytes: int
    own_bytes: int


def build_in(store: Store, lock: Lock, *, named: Path | None = None) -> BuiltEnvironment:
    """Return the environment of `lock` in this workspace, built now unless it is there.

    It is built with the Python that is `named`, else with the user's, else with one that uv finds; its version has to
    be the lock's.

    Raises InterpreterUnfit and what `building.build` raises.
    """
    return find_in(store, lock) or building.build(
        lock, cache=_cache(store), python=interpreter_for(lock, named=named), wheels=store.folder / "wheels"
    )


def find_in(store: Store, lock: Lock) -> BuiltEnvironment | None:
    """Return the environment of `lock` in this workspace; None when it is not built."""
    return building.find_built(lock, cache=_cache(store))


def remove_from(store: Store, lock: Lock, *, reference: str) -> BuiltEnvironment | None:
    """Delete what was built of `lock` in this workspace and return it; None when nothing was.

    Its records stay, and it is built again when it is needed. Raises EnvironmentInUse and FolderNotWritable.
    """
    users = environments.list_users(store, lock.digest)
    if users:
        raise EnvironmentInUse(reference=reference, users=", ".join(users))
    built = find_in(store, lock)
    if built:
        building.remove(built)
    return built


def size_of(built: BuiltEnvironment) -> Size:
    """Return how much of the disk the environment takes."""
    stats = [path.lstat() for path in built.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return Size(sum(each.st_size for each in stats), sum(each.st_size for each in stats if each.st_nlink == 1))


def _cache(store: Store) -> Path:
    return store.folder / "environments"
