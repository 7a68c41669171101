"""Built environments: a lock made into a folder that is named by the lock's digest, once."""

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from filelock import FileLock

from modelwright.environments.inspection import inspect
from modelwright.environments.locking import lock as make_lock
from modelwright.environments.locking import lock_remade, pins, run_uv, said
from modelwright.errors import EnvironmentNotBuilt, FolderNotWritable
from modelwright.records import BuiltEnvironment, Lock, LockSource, Requirement

_MARKER = ".wright-environment.json"
_MARK = {"format": 1}


def build(lock: Lock, *, cache: Path, python: Path, wheels: Path | None) -> BuiltEnvironment:
    """Return the environment of `lock` below `cache`, built now unless it is there.

    `python` is the interpreter that it is made for; `wheels` the folder of remade wheels. Files come from uv's cache,
    else the index, else `wheels`. Of two processes one builds and the other waits; what a killed one left is removed.

    Raises EnvironmentNotBuilt, FolderNotWritable, CommandMissing and InterpreterUnreadable.
    """
    built = BuiltEnvironment(lock, cache.absolute() / lock.digest)

    def make(folder: Path) -> None:
        # Relocatable: commands find their Python beside themselves and not at the path that it is built at.
        made = run_uv(["venv", "--quiet", "--relocatable", "--python", python.absolute(), folder])
        if made.returncode:
            raise EnvironmentNotBuilt(folder=built.folder, reason=said(made))
        interpreter = folder / "bin" / "python"
        install(lock, ["--python", interpreter], wheels=wheels, folder=built.folder, scratch=folder.parent)
        _verify(built, interpreter)

    # Its Python is a link to the one that it was made for, which may have been removed since.
    place(built.folder, make, key_file=built.python)
    return built


def find_built(lock: Lock, *, cache: Path) -> BuiltEnvironment | None:
    """Return the environment of `lock` below `cache`; None when it is not built there, or its Python is gone."""
    built = BuiltEnvironment(lock, cache.absolute() / lock.digest)
    return built if _is_complete(built.folder, built.python) else None


def remove(built: BuiltEnvironment) -> None:
    """Delete what was built, with its byte code; whoever builds it at the same time comes before or after.

    Raises FolderNotWritable.
    """
    try:
        with FileLock(built.folder.with_name(f"{built.folder.name}.lock")):
            # The marker first: what a killed process leaves is then no environment, and the next build clears it away.
            (built.folder / _MARKER).unlink(missing_ok=True)
            shutil.rmtree(built.folder)
            shutil.rmtree(built.bytecode, ignore_errors=True)
    except OSError as error:
        raise FolderNotWritable(folder=built.folder, reason=error.strerror or error, option="--workspace") from error


def place(folder: Path, make: Callable[[Path], None], *, key_file: Path) -> None:
    """Have `make` fill `folder`, once, whole or not at all, however many processes ask and whenever they are killed.

    It is filled beside its place and moved there in one step; it is filled again when its `key_file` is gone.
    """
    if _is_complete(folder, key_file):
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if _is_complete(folder, key_file):
                return
            for left in (folder, *folder.parent.glob(f".making-{folder.name}-*")):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(
                prefix=f".making-{folder.name}-", dir=folder.parent, ignore_cleanup_errors=True
            ) as temporary:
                made = Path(temporary) / "made"
                make(made)
                (made / _MARKER).write_text(json.dumps(_MARK), encoding="utf-8")
                made.rename(folder)
    except OSError as error:
        raise FolderNotWritable(folder=folder.parent, reason=error.strerror or error, option="--workspace") from error


def variables(environment: BuiltEnvironment, code: Path) -> dict[str, str]:
    """Return the variables to start the environment's Python with for running what is in the folder `code`.

    Python tells stale byte code by the size of its source and a time in whole seconds, so that it runs the old code
    after a quick edit. Therefore what is kept of `code` is deleted here.
    """
    shutil.rmtree(environment.bytecode / str(code.absolute()).lstrip("/"), ignore_errors=True)
    return {"PYTHONPYCACHEPREFIX": str(environment.bytecode)}


def lock_and_build(requirements: Iterable[Requirement], *, python: Path, cache: Path, wheels: Path) -> BuiltEnvironment:
    """Return the built environment of `requirements` as `python` has them; its lock is in the answer.

    Does what `lock` and then `build` do, and one thing more: when uv's cache knew the hashes but the files cannot be
    had, it locks and builds the remade wheels.

    Raises what `lock` and `build` raise.
    """
    wanted = tuple(requirements)
    locked = make_lock(wanted, python=python, wheels=wheels)
    try:
        return build(locked, cache=cache, python=python, wheels=wheels)
    except EnvironmentNotBuilt:
        if locked.source is LockSource.WHEELS:
            raise
    return build(lock_remade(wanted, python=python, wheels=wheels), cache=cache, python=python, wheels=wheels)


def install(lock: Lock, arguments: Sequence[str | Path], *, wheels: Path | None, folder: Path, scratch: Path) -> None:
    """Let uv install exactly the lock's files, with `arguments` saying where to.

    `folder` is the place that the error names, `scratch` one for a temporary file. Raises EnvironmentNotBuilt.
    """
    if not lock.text.strip():
        return
    reason = "the remade wheels that it was locked from are gone"
    wanted = scratch / "requirements.txt"
    wanted.write_text(lock.text, encoding="utf-8")
    for source in _file_sources(lock, wheels):
        finished = run_uv(["pip", "install", "--no-deps", "--require-hashes", "-r", wanted, *arguments, *source])
        if finished.returncode == 0:
            return
        reason = said(finished)
    raise EnvironmentNotBuilt(folder=folder, reason=reason)


def _file_sources(lock: Lock, wheels: Path | None) -> list[Sequence[str | Path]]:
    """Return uv's arguments for each place where the lock's files may be had, in the order to try them."""
    remade: list[str | Path] = []
    if wheels is not None:
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", lock.text)
        remade = [
            part for digest in hashes if (wheels / digest).is_dir() for part in ("-f", wheels.absolute() / digest)
        ]
    from_wheels: list[Sequence[str | Path]] = [["--no-index", *remade]] if remade else []
    if lock.source is LockSource.WHEELS:
        return from_wheels
    # Some may be the index's and some wheels that the specification named.
    return [["--offline", *remade], remade, *from_wheels]


def _verify(built: BuiltEnvironment, interpreter: Path) -> None:
    """Compare what was installed with the lock. Raises EnvironmentNotBuilt."""
    inspection = inspect(interpreter)
    installed = {name: each.version for name, each in inspection.distributions.items()}
    wanted = pins(built.lock)
    differing = sorted(name for name in installed | wanted if installed.get(name) != wanted.get(name))
    if differing:
        shown = ", ".join(f"{name} is {installed.get(name)} and not {wanted.get(name)}" for name in differing)
        raise EnvironmentNotBuilt(folder=built.folder, reason=f"it differs from its lock: {shown}")
    if inspection.python_version != built.lock.python_version:
        reason = f"its Python is {inspection.python_version}, the lock is for {built.lock.python_version}"
        raise EnvironmentNotBuilt(folder=built.folder, reason=reason)


def _is_complete(folder: Path, key_file: Path) -> bool:
    """Return whether the folder was made to the end and has its key file."""
    try:
        return json.loads((folder / _MARKER).read_text(encoding="utf-8")) == _MARK and key_file.exists()
    except (OSError, ValueError):
        return False
