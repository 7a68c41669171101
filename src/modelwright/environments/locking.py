"""Locks: the exact versions that an interpreter has, transitively, with the hashes of their files.

The versions are not resolved anew. The notebook ran with what is installed, so what is installed is what gets locked;
uv only finds the hashes.
"""

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from blake3 import blake3
from packaging.utils import canonicalize_name

from modelwright import processes, settings
from modelwright.environments.inspection import Distribution, Inspection, closure, inspect
from modelwright.environments.pinning import read_pins
from modelwright.environments.wheels import remake
from modelwright.errors import DistributionEditable, EnvironmentNotLocked
from modelwright.records import Lock, LockSource, Requirement

# uv itself waits 10 s for each connection and asks four times: too long for whoever is offline. What the user has set
# stays.
_PATIENCE = {"UV_HTTP_RETRIES": "1", "UV_HTTP_CONNECT_TIMEOUT": "5"}


def lock(requirements: Iterable[Requirement], *, python: Path, wheels: Path | None) -> Lock:
    """Return the lock of `requirements` and all that they need, in the versions that `python` has.

    Hashes come from uv's cache of the index, else from the index, else from wheels remade into the folder `wheels`
    (when it is given); the lock's `source` says which.

    Raises EnvironmentNotLocked, ModuleNotInstalled, DistributionEditable, DistributionNotPacked, CommandMissing.
    """
    inspection = inspect(python)
    return lock_distributions(closure(requirements, inspection), origin=inspection, target=inspection, wheels=wheels)


def lock_remade(requirements: Iterable[Requirement], *, python: Path, wheels: Path) -> Lock:
    """Return the lock as `lock` does, of wheels remade into `wheels`, whether or not an index could be reached."""
    inspection = inspect(python)
    return _remade(closure(requirements, inspection), origin=inspection, target=inspection, wheels=wheels)


def lock_distributions(
    distributions: Sequence[Distribution], *, origin: Inspection, target: Inspection, wheels: Path | None
) -> Lock:
    """Return the lock of exactly these distributions, which `origin` has, for an interpreter like `target`."""
    for each in distributions:
        if each.is_editable:
            raise DistributionEditable(distribution=each.name, folder=each.url.removeprefix("file://"))
    reason = "some of it did not come from an index"
    # What came from a file or a repository may share name and version with something else on the index.
    if not any(each.url for each in distributions):
        for source, arguments in ((LockSource.CACHE, ["--offline"]), (LockSource.INDEX, [])):
            finished = _compile(distributions, arguments, python=target.python)
            if finished.returncode == 0:
                return _locked(finished.stdout, target, source)
            reason = said(finished)
    if wheels is None:
        raise EnvironmentNotLocked(python=origin.python, reason=reason)
    return _remade(distributions, origin=origin, target=target, wheels=wheels)


def pins(lock: Lock) -> dict[str, str]:
    """Return the versions that the lock names, by canonical name."""
    return {each.name: each.version for each in read_pins(lock)}


def read_lock(text: str, *, python_version: str, platform: str, source: LockSource = LockSource.INDEX) -> Lock:
    """Return the lock with this text, named by its digest."""
    named = blake3()
    for part in (text, python_version, platform):
        named.update(part.encode() + b"\0")
    return Lock(text, python_version, platform, named.hexdigest(), source)


def said(finished: processes.Finished) -> str:
    """Return the last lines that uv printed: what went wrong, without its advice."""
    lines = [line.strip() for line in finished.stderr.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("hint:", "Resolved", "Using ", "Creating "))]
    return "; ".join(told[-4:]) or f"uv ended with exit code {finished.returncode}"


def reason_of(finished: processes.Finished) -> str:
    """Return why uv failed, without the words that say that it did."""
    return re.split(r"error: |cause: |╰─▶ *", said(finished))[-1]


def run_uv(arguments: Sequence[str | Path]) -> processes.Finished:
    """Run uv with these arguments, with the user's index settings but none of a project's."""
    environment = _PATIENCE | settings.child_environment()
    # It would make uv install into the system's Python instead of the one that we name.
    environment.pop("UV_SYSTEM_PYTHON", None)
    if "UV_CACHE_DIR" in environment:
        environment["UV_CACHE_DIR"] = str(Path(environment["UV_CACHE_DIR"]).absolute())
    return processes.run(
        [settings.uv_command(), *arguments],
        # uv obeys a uv.toml of any folder above: in the temporary folder that could be anybody's.
        folder=Path("/"),
        environment=environment,
        timeout_seconds=1800,
        after_timeout="do it again; what was downloaded is kept",
    )


def _compile(distributions: Iterable[Distribution], arguments: Sequence[str], *, python: Path) -> processes.Finished:
    """Ask uv for the hashes of exactly these distributions."""
    with tempfile.TemporaryDirectory(prefix="wright-lock-") as temporary:
        wanted = Path(temporary) / "requirements.in"
        wanted.write_text("".join(f"{each.name}=={each.version}\n" for each in distributions), encoding="utf-8")
        command = ["pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header", "--no-annotate"]
        return run_uv([*command, *arguments, "--python", python.absolute(), wanted])


def _remade(distributions: Iterable[Distribution], *, origin: Inspection, target: Inspection, wheels: Path) -> Lock:
    """Return the lock of these distributions' remade wheels."""
    lines = []
    for each in distributions:
        _, digest = remake(each, wheels, inspection=origin)
        lines.append(f"{canonicalize_name(each.name)}=={each.version} \\\n    --hash=sha256:{digest}\n")
    return _locked("".join(lines), target, LockSource.WHEELS)


def _locked(text: str, target: Inspection, source: LockSource) -> Lock:
    """Return the lock for an interpreter like `target`."""
    return read_lock(text, python_version=target.python_version, platform=target.platform, source=source)
