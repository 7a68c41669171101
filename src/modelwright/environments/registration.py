"""Named environments: a file becomes a lock under a name and a number, and references become locks.

Identity is the lock's digest. A name is only a way to say it, so the same lock under another name is the same
environment, built once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from modelwright.environments.findings import RESOLVING
from modelwright.environments.inspection import Inspection
from modelwright.environments.interpreters import fitting
from modelwright.environments.resolving import Resolved, resolve
from modelwright.environments.specifications import read_specification
from modelwright.errors import EnvironmentAmbiguous, EnvironmentMissing, ModelMissing, NameInvalid
from modelwright.records import EnvironmentSource, EnvironmentVersion, Lock, Specification, SpecificationFinding, Wanted
from modelwright.store import environments, models, runs
from modelwright.store.changes import Changing
from modelwright.store.database import Store

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
_NAME_RULE = "letters, digits, '-', '.' and '_', at most 255, the first a letter or digit"
_DIGEST = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True)
class Added:
    """A named environment, and what reading its file found.

    `is_new` says whether this made a version, `is_resolved` whether versions were chosen for it now.
    """

    version: EnvironmentVersion
    findings: tuple[SpecificationFinding, ...]
    is_new: bool
    is_resolved: bool


def add(
    store: Store,
    name: str,
    path: Path,
    *,
    changing: Changing,
    python: Path | None = None,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    is_upgrade: bool = False,
) -> Added:
    """Lock what the file at `path` asks for, and return it as a version of the environment `name`.

    What was asked for before, under whatever name, keeps the versions that it got then, unless `is_upgrade`. A lock
    that the name has already gives that version back.

    Raises NameInvalid, and what reading, finding an interpreter and resolving raise.
    """
    if not _NAME.fullmatch(name):
        raise NameInvalid(name=name, noun="environment", rule=_NAME_RULE, way="name")
    specification = read_specification(path, extras=extras, groups=groups)
    chosen = fitting(specification, named=python)
    digest = _digest(specification, chosen.inspection)
    known = None if is_upgrade else _known(store, digest)
    resolved = known or resolve(specification, target=chosen.inspection, wheels=store.folder / "wheels")
    findings = _consistent((*specification.findings, *chosen.findings, *resolved.findings))
    source = EnvironmentSource(
        path=str(path.absolute()),
        kind=specification.kind,
        specification_digest=digest,
        extras=tuple(extras),
        groups=tuple(groups),
        locked_from=resolved.lock.source,
    )
    with changing() as opened:
        version, is_new = environments.ensure_environment_version(
            opened, name, resolved.lock, source=source, findings=findings
        )
    return Added(version, findings, is_new, is_resolved=known is None)


def environment_lock(store: Store, reference: str) -> Lock:
    """Return the lock that `NAME:2`, `NAME` for the newest, or the beginning of a digest names.

    Raises EnvironmentMissing and EnvironmentAmbiguous.
    """
    try:
        return environments.find_environment(store, reference)
    except EnvironmentMissing:
        locks = environments.find_environments(store, reference) if _DIGEST.fullmatch(reference) else []
    if len(locks) > 1:
        meanings = ", ".join(each.digest[: len(reference) + 6] for each in locks)
        raise EnvironmentAmbiguous(reference=reference, meanings=meanings, fix="write more of the digest")
    if not locks:
        raise EnvironmentMissing(reference=reference)
    return locks[0]


def lock_of(store: Store, reference: str) -> Lock:
    """Return the lock of what `reference` names: an environment or digest, a run, or a model version.

    A name that is both an environment's and a model's is told apart as `environments:/NAME/2` and `models:/NAME/2`.

    Raises EnvironmentMissing, EnvironmentAmbiguous, RunMissing and ModelMissing.
    """
    if reference.startswith("run_"):
        digest = runs.get_run(store, reference).environment_digest
        if not digest:
            raise EnvironmentMissing(reference=reference)
        return environments.get_environment(store, digest)
    if reference.startswith("models:/"):
        return _lock_of_model(store, reference)
    if reference.startswith("environments:/"):
        return environment_lock(store, reference.removeprefix("environments:/").replace("/", ":"))
    found: dict[str, Lock] = {}
    for kind, read in (("environments", environment_lock), ("models", _lock_of_model)):
        try:
            found[kind] = read(store, reference)
        except (EnvironmentMissing, ModelMissing):
            continue
    if not found:
        raise EnvironmentMissing(reference=reference)
    if len({lock.digest for lock in found.values()}) > 1:
        spelled = [f"{kind}:/{reference.replace(':', '/')}" for kind in found]
        meanings = "an environment's name and a model's"
        raise EnvironmentAmbiguous(reference=reference, meanings=meanings, fix=f"write {' or '.join(spelled)}")
    return next(iter(found.values()))


def _lock_of_model(store: Store, reference: str) -> Lock:
    digest = models.find_version(store, reference).environment_digest
    if digest is None:
        raise EnvironmentMissing(reference=reference)
    return environments.get_environment(store, digest)


def _consistent(findings: Sequence[SpecificationFinding]) -> tuple[SpecificationFinding, ...]:
    """Return the findings without those that say how something was taken over which, as another says, was not."""
    absent = {(each.file, each.line) for each in findings if each.code == "conda-absent"}
    return tuple(each for each in findings if not (each.is_honoured and (each.file, each.line) in absent))


def _known(store: Store, specification_digest: str) -> Resolved | None:
    """Return what was locked for the same specification before."""
    before = environments.list_environment_versions(store, specification_digest=specification_digest)
    if not before:
        return None
    lock = environments.get_environment(store, before[0].digest)
    return Resolved(
        Lock(lock.text, lock.python_version, lock.platform, lock.digest, before[0].source.locked_from),
        tuple(each for each in before[0].findings if each.code in RESOLVING),
    )


def _digest(specification: Specification, target: Inspection) -> str:
    """Return the name of what is asked for: neither comments nor the order of lines are in it."""
    named = blake3()
    for group in (specification.wanted, specification.constraints):
        for line in sorted({_spelled(each) for each in group}):
            named.update(line.encode() + b"\0")
        named.update(b"\0")
    chosen = (*specification.extras, "", *specification.groups, "", str(specification.is_exact))
    for part in (*chosen, target.python_version, target.platform):
        named.update(part.encode() + b"\0")
    return named.hexdigest()


def _spelled(wanted: Wanted) -> str:
    return " ".join([*wanted.text.split(), *sorted(wanted.hashes), "assumed" if wanted.is_assumed else ""])
