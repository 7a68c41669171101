"""Resolves a specification: one exact version of everything, with hashes, for one interpreter and platform.

uv decides. A file that is a lock already is not resolved anew: what it names is what is locked.
"""

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement as Parsed
from packaging.utils import canonicalize_name

from modelwright import processes
from modelwright.environments.findings import found
from modelwright.environments.inspection import Distribution, Inspection, closure
from modelwright.environments.locking import lock, read_lock, reason_of, run_uv
from modelwright.environments.pinning import pins_in, text_of
from modelwright.errors import EnvironmentNotResolved, SpecificationInvalid
from modelwright.records import Lock, LockSource, Pin, Requirement, Specification, SpecificationFinding, Wanted

_UNREACHED = re.compile(r"failed to fetch|error sending request|could not connect|network was disabled", re.IGNORECASE)
_EXACT = ("--quiet", "--generate-hashes", "--no-header", "--no-annotate")
_ASKED_AT_ONCE = 4  # more would wait for one another: there are not many more cores, and one index


@dataclass(frozen=True)
class Resolved:
    """A lock, and what resolving it found."""

    lock: Lock
    findings: tuple[SpecificationFinding, ...]


def resolve(specification: Specification, *, target: Inspection, wheels: Path) -> Resolved:
    """Return the lock of what is asked for, for the inspected interpreter.

    Versions come from the index; when it cannot be reached from uv's cache of it, else, when all that is asked for is
    installed there in fitting versions, from the interpreter itself. Wheels that the specification names are kept in
    `wheels`.

    Raises EnvironmentNotResolved, CommandMissing, and what `locking.lock` raises.
    """
    wanted = [each for each in specification.wanted if _applies(each, specification, target)]
    _keep_wheels(wanted, wheels)
    if specification.is_exact:
        return Resolved(_exact(wanted, specification, target), ())
    asking = _Asking(replace(specification, wanted=tuple(wanted)), target, wheels)
    try:
        return asking.resolved()
    except EnvironmentNotResolved as error:
        if not asking.is_unreached:
            raise
        return _from_installed(asking.specification, target, wheels, error)


@dataclass
class _Asking:
    """The conversation with uv about one specification; offline from when the index was not reached."""

    specification: Specification
    target: Inspection
    wheels: Path
    is_unreached: bool = False

    def resolved(self) -> Resolved:
        """Resolve with the index, else with uv's cache of it."""
        known, findings = self._known()
        finished = self._compile(known, is_whole=True)
        if finished.returncode:
            raise self._failed(finished)
        source = LockSource.INDEX
        if self.is_unreached:
            source = LockSource.CACHE
            findings.append(_offline_finding(self.specification.path, "what uv remembers of the index was used"))
        pins = _within_hashes(pins_in(finished.stdout), known)
        foreign = [f"{each.name} {each.version}" for each in pins if not each.hashes]
        if foreign:
            reason = f"none of the hashes that are given is one of {', '.join(foreign)}"
            raise self._error(reason)
        return Resolved(_locked(pins, self.target, source), tuple(findings))

    def _known(self) -> tuple[list[Wanted], list[SpecificationFinding]]:
        """Return what is asked for without those assumed packages that the index does not have; they are findings."""
        assumed = [each for each in self.specification.wanted if each.is_assumed]
        unknown: set[Wanted] = set()
        if assumed and self._compile(assumed).returncode:
            with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
                answers = list(pool.map(lambda each: self._compile([each]), assumed))
            unknown = {each for each, answer in zip(assumed, answers, strict=True) if answer.returncode}
            if unknown and self.is_unreached:
                raise self._failed(next(each for each in answers if each.returncode))
        findings = [_assumed_finding(each, is_known=each not in unknown) for each in assumed]
        return [each for each in self.specification.wanted if each not in unknown], findings

    def _compile(self, wanted: Iterable[Wanted], *, is_whole: bool = False) -> processes.Finished:
        """Ask uv for exact versions of `wanted`, and of all that they need when that `is_whole`."""
        constraints = self.specification.constraints if is_whole else ()
        with tempfile.TemporaryDirectory(prefix="wright-resolve-") as temporary:
            files = [Path(temporary) / name for name in ("requirements.in", "constraints.in")]
            for path, lines in zip(files, (wanted, constraints), strict=True):
                path.write_text("".join(f"{each.text}\n" for each in lines), encoding="utf-8")
            command: list[str | Path] = ["pip", "compile", *_EXACT, *([] if is_whole else ["--no-deps"])]
            named = [_kept(each, self.wheels) for each in self.specification.wanted if each.wheel]
            command += [part for folder in named for part in ("--find-links", folder)]
            command += ["--python", self.target.python.absolute(), files[0], "--constraint", files[1]]
            if not self.is_unreached:
                finished = run_uv(command)
                if not (finished.returncode and _UNREACHED.search(finished.stderr)):
                    return finished
                self.is_unreached = True
            return run_uv([*command, "--offline"])

    def _failed(self, finished: processes.Finished) -> EnvironmentNotResolved:
        if self.is_unreached:
            reason = f"the index cannot be reached, and uv's cache lacks some of it: {reason_of(finished)}"
            return self._error(reason, fix="connect to the package index, then do it again")
        return self._error(reason_of(finished))

    def _error(self, reason: str, *, fix: str = "") -> EnvironmentNotResolved:
        """Return the error that names the lines of the file that the reason speaks of."""
        named = [
            each
            for each in (*self.specification.wanted, *self.specification.constraints)
            if re.search(rf"(?<![\w-]){re.escape(canonicalize_name(Parsed(each.text).name))}(?![\w-])", reason)
        ]
        places = ", ".join(f"{each.file}:{each.line} ({each.text})" for each in named)
        return EnvironmentNotResolved(
            file=self.specification.path,
            python_version=self.target.python_version,
            platform=self.target.platform,
            reason=reason,
            fix=fix or f"change {places or self.specification.path}",
        )


def _applies(wanted: Wanted, specification: Specification, target: Inspection) -> bool:
    """Return whether the requirement is one for the inspected interpreter."""
    marker = Parsed(wanted.text).marker
    variables: dict[str, str | set[str]] = {**target.markers, "extra": ""}
    variables |= {"extras": set(specification.extras), "dependency_groups": set(specification.groups)}
    return marker is None or marker.evaluate(variables, context="lock_file")


def _pin(wanted: Wanted) -> Pin:
    """Return the version that a line of a lock names."""
    parsed = Parsed(wanted.text)
    return Pin(canonicalize_name(parsed.name), next(iter(parsed.specifier)).version, wanted.hashes)


def _exact(wanted: Iterable[Wanted], specification: Specification, target: Inspection) -> Lock:
    """Return the lock that these lines are already. Raises SpecificationInvalid when they contradict one another."""
    pins: dict[str, Pin] = {}
    for each in wanted:
        pin = _pin(each)
        known = pins.setdefault(pin.name, pin)
        if known.version != pin.version:
            reason = f"it names {pin.name} in the versions {known.version} and {pin.version}"
            place = f", line {each.line},"
            raise SpecificationInvalid(file=specification.path, place=place, reason=reason, fix="write the lock anew")
    return _locked(pins.values(), target, LockSource.INDEX)


def _locked(pins: Iterable[Pin], target: Inspection, source: LockSource) -> Lock:
    return read_lock(text_of(pins), python_version=target.python_version, platform=target.platform, source=source)


def _within_hashes(pins: Sequence[Pin], wanted: Iterable[Wanted]) -> list[Pin]:
    """Return the pins with only those hashes that their requirements allow."""
    allowed: dict[str, set[str]] = {canonicalize_name(Parsed(each.text).name): set(each.hashes) for each in wanted}
    kept = []
    for each in pins:
        among = allowed.get(each.name)
        kept.append(replace(each, hashes=tuple(digest for digest in each.hashes if not among or digest in among)))
    return kept


def _from_installed(
    specification: Specification, target: Inspection, wheels: Path, error: EnvironmentNotResolved
) -> Resolved:
    """Return the lock of what the interpreter has, if that is what is asked for; raise `error` if not."""
    asked = [Parsed(each.text) for each in specification.wanted]
    is_special = any(each.hashes or each.is_assumed for each in specification.wanted)
    if is_special or not all(_has(target.distributions, each) for each in asked):
        raise error
    requirements = [_as_installed(target, each) for each in asked]
    there: dict[str, Distribution] = {canonicalize_name(each.name): each for each in closure(requirements, target)}
    rules = [Parsed(each.text) for each in specification.constraints]
    if not all(_has(there, each) for each in rules if canonicalize_name(each.name) in there):
        raise error
    locked = lock(requirements, python=target.python, wheels=wheels)
    return Resolved(locked, (_offline_finding(specification.path, f"the versions of {target.python} were locked"),))


def _has(distributions: Mapping[str, Distribution], rule: Parsed) -> bool:
    found_one = distributions.get(canonicalize_name(rule.name))
    return found_one is not None and rule.specifier.contains(found_one.version, prereleases=True)


def _as_installed(target: Inspection, rule: Parsed) -> Requirement:
    extras = f"[{','.join(sorted(rule.extras))}]" if rule.extras else ""
    return Requirement(f"{rule.name}{extras}", target.distributions[canonicalize_name(rule.name)].version)


def _keep_wheels(wanted: Iterable[Wanted], wheels: Path) -> None:
    """Copy the wheels that are named to where remade ones lie: in a folder named by the hash."""
    for each in wanted:
        if each.wheel and not (place := _kept(each, wheels) / each.wheel.name).exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".copying-", dir=wheels) as temporary:
                shutil.copyfile(each.wheel, Path(temporary) / each.wheel.name).replace(place)


def _kept(wanted: Wanted, wheels: Path) -> Path:
    return wheels.absolute() / wanted.hashes[0].removeprefix("sha256:")


def _offline_finding(path: Path, consequence: str) -> SpecificationFinding:
    message = f"the index could not be reached: {consequence}"
    return found("locked-offline", message, fix="add it again with --upgrade when online", file=path.name, line=0)


def _assumed_finding(wanted: Wanted, *, is_known: bool) -> SpecificationFinding:
    parsed = Parsed(wanted.text)
    if is_known:
        return found(
            "conda-assumed",
            f'"{parsed.name}" is taken to be the "{wanted.text}" of the index',
            fix='make sure of it, and name it under "pip:"; or delete the line',
            file=wanted.file,
            line=wanted.line,
        )
    return found(
        "conda-absent",
        f'the index has no "{wanted.text}" for this Python',
        fix='if pip can install it otherwise, name it under "pip:"; else install it on the machine and delete the line',
        file=wanted.file,
        line=wanted.line,
    )
