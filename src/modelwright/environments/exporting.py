"""Writes a lock to where other tools read it: requirements with hashes for pip, pylock.toml (PEP 751) for all."""

import tempfile
import tomllib
from pathlib import Path

from packaging.utils import canonicalize_name

from modelwright.environments.interpreters import interpreter_for
from modelwright.environments.locking import reason_of, run_uv
from modelwright.environments.pinning import read_pins
from modelwright.errors import EnvironmentNotResolved, FileInTheWay, FolderNotWritable
from modelwright.records import Lock

REQUIREMENTS_FILE = "requirements.txt"
PYLOCK_FILE = "pylock.toml"


def export(lock: Lock, place: Path, *, named: Path | None = None) -> tuple[Path, ...]:
    """Write the lock to `place`; return the files written.

    A `.toml` is written as pylock.toml, any other file as pip's requirements with hashes; a folder gets both.
    `named` is the Python to ask the index as, where the user's own has another version than the lock.

    Raises FileInTheWay, FolderNotWritable, EnvironmentNotResolved and InterpreterUnfit.
    """
    is_folder = place.is_dir() or not place.suffix
    paths = (place / REQUIREMENTS_FILE, place / PYLOCK_FILE) if is_folder else (place,)
    for path in paths:
        if path.exists():
            raise FileInTheWay(path=path)
    texts = [_pylock(lock, path, named) if path.suffix == ".toml" else _requirements(lock) for path in paths]
    try:
        for path, text in zip(paths, texts, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FolderNotWritable(folder=place, reason=error.strerror or error, option="PLACE") from error
    return paths


def _requirements(lock: Lock) -> str:
    return f"# Python {lock.python_version} on {lock.platform}, environment {lock.digest}\n{lock.text}"


def _pylock(lock: Lock, path: Path, named: Path | None) -> str:
    """Return the lock as pylock.toml, which names each file's address too: uv's cache or the index knows it."""
    python = interpreter_for(lock, named=named)
    with tempfile.TemporaryDirectory(prefix="wright-export-") as temporary:
        wanted = Path(temporary) / REQUIREMENTS_FILE
        wanted.write_text(lock.text, encoding="utf-8")
        command = ["pip", "compile", "--quiet", "--no-deps", "--no-header", "--format", PYLOCK_FILE]
        command += ["--python", str(python), str(wanted)]
        finished = run_uv([*command, "--offline"])
        if finished.returncode:
            finished = run_uv(command)
    reason = reason_of(finished) if finished.returncode else _difference(lock, finished.stdout)
    if reason:
        raise EnvironmentNotResolved(
            file=path,
            python_version=lock.python_version,
            platform=lock.platform,
            reason=reason,
            fix=f"connect to the package index; or export {REQUIREMENTS_FILE}, which needs none",
        )
    return finished.stdout


def _difference(lock: Lock, text: str) -> str:
    """Return how the exported text differs from the lock; empty when it does not."""
    exported: dict[tuple[str, str], set[str]] = {}
    for package in tomllib.loads(text).get("packages", ()):
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        hashes = {f"{kind}:{digest}" for each in files for kind, digest in each.get("hashes", {}).items()}
        exported[canonicalize_name(package["name"]), package.get("version")] = hashes
    locked = {(each.name, each.version): set(each.hashes) for each in read_pins(lock)}
    if exported.keys() != locked.keys():
        return "the index gives other versions than the lock has"
    other = sorted(name for name, version in locked if not exported[name, version] <= locked[name, version])
    return f"the index has other files than the lock of {', '.join(other)}" if other else ""
