"""Makes a registered version again and says how like it the new one is, and if it is not, why.

Everything comes from the record: the snapshot of the code, the lock, the data by digest, parameters and seed. It runs
in a clean folder and an environment built anew. The cause of a difference is found by elimination: the data and the
environment are looked at first, and what remains is tried by running again, with the same threads and with one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelwright import records
from modelwright.datasets import reading
from modelwright.environments import building
from modelwright.environments.interpreters import interpreter_for
from modelwright.errors import (
    BlobDamaged,
    EnvironmentNotBuilt,
    InterpreterUnfit,
    RunNotRegistrable,
    StepFailed,
    VersionIncomplete,
)
from modelwright.lifecycle import training
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages, packing
from modelwright.projects import manifest as manifests
from modelwright.records import BuiltEnvironment, Kind, ModelVersion, Reproduction, Run, Sameness, Status
from modelwright.runs import machine, pipelines, reuse
from modelwright.runs.active import ActiveRun, recorded, restore_code
from modelwright.runs.reuse import Evidence
from modelwright.runs.states import Rules
from modelwright.store import claims, datasets, environments, models, projects, reproductions, runs
from modelwright.store.database import Store

_METRIC_TOLERANCE = 1e-9


@dataclass(frozen=True)
class _Made:
    """What a run made: its record, and what its model answers to the project's sample."""

    run: Run
    answer: object = None

    @property
    def files(self) -> dict[str, str]:
        return {each.path: each.digest for each in self.run.artifacts if each.path.startswith("outputs/")}

    @property
    def values(self) -> dict[str, str]:
        return {f"{each.name}.{name}": digest for each in self.run.steps for name, digest in each.outputs.items()}


@dataclass
class _Attempts:
    """Runs the version's code again, each time in a run of its own."""

    session: Session
    version: ModelVersion
    origin: Run
    folder: Path
    environment: BuiltEnvironment
    made: list[_Made] = field(default_factory=list)

    def again(self, *, threads: int | None = None) -> _Made:
        """Run it once more, with so many threads, and return what it made. Raises StepFailed."""
        store = self.session.store
        manifest = manifests.read_manifest(self.folder)
        run = Run(
            id=records.new_id("run"),
            project=self.origin.project,
            status=Status.RUNNING,
            reason="",
            environment_digest=self.origin.environment_digest,
            code_digest=self.origin.code_digest,
            git=self.origin.git,
            started_at=records.now(),
            parameters=self.origin.parameters,
            kind=Kind.REPRODUCTION,
            experiment=self.origin.experiment,
            parent_id=self.origin.id,
            tags={"reproduces": self.version.reference},
            seed=self.origin.seed,
            machine=machine.describe(),
        )
        known = projects.find_project(store, self.origin.project)
        assert known is not None  # noqa: S101 - the origin's row refers to it
        active = ActiveRun(
            store,
            run,
            self.folder,
            manifest.layout.source,
            self.environment,
            actor=self.session.actor,
            why=self.session.why,
            beside=known.folder,
        )
        pipeline = training.pipeline_of(manifest)
        with recorded(active, project_id=known.id):
            training.perform(self.session, active, pipeline, gate=None, rules=Rules(is_fresh=True, threads=threads))
        found = _Made(runs.get_run(store, run.id), self._answer(runs.get_run(store, run.id)))
        self.made.append(found)
        return found

    def _answer(self, run: Run) -> object:
        """Return what the new model answers to the project's sample; None when it cannot be asked."""
        try:
            with packing.packaged(self.session.store, run, environment=self.environment) as package:
                return json.loads((package.folder / packages.EXPECTED).read_text(encoding="utf-8"))
        except RunNotRegistrable:
            return None


def reproduce(session: Session, reference: str) -> Reproduction:
    """Make the version again and compare it, in this order: the bytes of its files, its predictions, its metrics.

    Raises ModelMissing, and VersionIncomplete for one that was made elsewhere or by a tracked script. That it cannot be
    made, or is another one, is a result with its cause and no error.
    """
    store = session.store
    version = models.find_version(store, reference)
    if version.run_id is None:
        reason = "was made elsewhere: there is no run to repeat"
        raise VersionIncomplete(version=version.reference, reason=reason, next=f"wright model show {version.reference}")
    origin = runs.get_run(store, version.run_id)
    if not any(each.path == f"code/{manifests.MANIFEST_FILE}" for each in origin.artifacts):
        reason = f"was made by {origin.id}, which is of no project: there are no steps to repeat"
        raise VersionIncomplete(version=version.reference, reason=reason, next=f"wright run show {origin.id}")
    with claims.scratch_folder(store) as scratch:
        try:
            project = restore_code(store, origin, into=scratch / "project")
        except BlobDamaged as error:
            return _recorded(session, version, _verdict(Sameness.DIFFERS, "code", [str(error)]))
        with session.stage("data", f"looking at the data of {version.reference}") as stage:
            missing = _missing_data(store, origin, project)
            stage.decided = f"{len(missing)} of it changed or gone" if missing else "all of it is as it was"
        if missing:
            return _recorded(session, version, _verdict(Sameness.DIFFERS, "data", missing))
        with session.stage("environment", "building it anew") as stage:
            lock = environments.get_environment(store, origin.environment_digest)
            try:
                environment = building.build(
                    lock, cache=scratch / "environments", python=interpreter_for(lock), wheels=store.folder / "wheels"
                )
            except (EnvironmentNotBuilt, InterpreterUnfit) as error:
                cause = f"a dependency is not available: {error}"
                return _recorded(session, version, _verdict(Sameness.DIFFERS, "environment", [cause]))
            stage.decided = f"built anew from the lock {lock.digest[:12]}"
        attempts = _Attempts(session, version, origin, project, environment)
        try:
            found = _compared(attempts, _Made(origin, _expected(store, version)))
        except StepFailed as error:
            found = _verdict(Sameness.DIFFERS, "failure", [str(error)])
    run_id = attempts.made[0].run.id if attempts.made else None
    return _recorded(session, version, replace(found, run_id=run_id))


def _compared(attempts: _Attempts, before: _Made) -> Reproduction:
    """Run the version again and say how like it the new one is."""
    now = attempts.again()
    comparisons = _comparisons(before, now)
    if all(each["is_equal"] for each in comparisons if each["kind"] != "value"):
        return replace(_verdict(Sameness.IDENTICAL, "", []), comparisons=tuple(comparisons))
    with attempts.session.stage("cause", "running it again to find out why") as stage:
        kind, told = _cause(attempts, before, now)
        stage.decided = told
    has_same_answers = before.answer is not None and before.answer == now.answer
    sameness = Sameness.SAME_PREDICTIONS if has_same_answers and _has_metrics(before, now) else Sameness.DIFFERS
    return replace(_verdict(sameness, kind, [told]), comparisons=tuple(comparisons))


def _cause(attempts: _Attempts, before: _Made, now: _Made) -> tuple[str, str]:
    """Return the kind of cause and its sentence, found by running again."""
    place = _first_difference(before, now)
    again = attempts.again()
    if not _differ(now, again):
        if not _differ(before, attempts.again(threads=before.run.machine.get("processors", 1))):
            return "threads", f"{place}: it depends on the number of threads, which was another one then"
        return "machine", f"{place}: it repeats itself here, and was another one on the machine of then"
    single, twice = attempts.again(threads=1), attempts.again(threads=1)
    if not _differ(single, twice):
        return "threads", f"{place}: with several threads it is another one each time, with one it repeats itself"
    return "randomness", f"{place}: it is another one each time it runs, so something random in it has no seed"


def _differ(one: _Made, other: _Made) -> bool:
    return one.files != other.files or one.values != other.values


def _first_difference(before: _Made, now: _Made) -> str:
    """Return the name of the first step whose outputs differ."""
    for then, again in zip(before.run.steps, now.run.steps, strict=False):
        if then.outputs != again.outputs or then.evidence.get("files") != again.evidence.get("files"):
            return f'step "{then.name}"'
    return "its files"


def _comparisons(before: _Made, now: _Made) -> list[dict[str, object]]:
    """Return what was compared: files and values by digest, the answer to the sample, metrics."""
    pairs: list[tuple[str, Mapping[str, object], Mapping[str, object]]] = [
        ("value", before.values, now.values),
        ("file", before.files, now.files),
        ("metric", before.run.metrics, now.run.metrics),
        ("answer", {"sample": before.answer}, {"sample": now.answer}),
    ]
    return [
        {
            "kind": kind,
            "name": name,
            "then": then.get(name),
            "now": again.get(name),
            "is_equal": _equal(then, again, name),
        }
        for kind, then, again in pairs
        for name in [*then, *(each for each in again if each not in then)]
    ]


def _equal(then: Mapping[str, object], now: Mapping[str, object], name: str) -> bool:
    # NaN, which is a result as any other, is not equal to itself.
    return repr(then.get(name)) == repr(now.get(name))


def _has_metrics(before: _Made, now: _Made) -> bool:
    pairs = [(value, now.run.metrics.get(name)) for name, value in before.run.metrics.items()]
    return all(
        other is not None and (one == other or abs(one - other) <= _METRIC_TOLERANCE * abs(one)) for one, other in pairs
    )


def _missing_data(store: Store, run: Run, project: Path) -> list[str]:
    """Return what the run's data has lost or changed, by name; `project` is its code.

    What the gate read, such as the champion of then, is no data: a reproduction has no gate.
    """
    steps = {each.name for each in pipelines.read_pipeline(manifests.read_manifest(project).pipeline).steps}
    told = []
    for dataset in run.datasets:
        for fault in reading.check(store, datasets.find_dataset_version(store, dataset.reference), is_thorough=True):
            what = "has changed" if fault.found else "is gone"
            told.append(f'"{fault.file}" of dataset {dataset.reference} {what}: {fault.place}')
    known = projects.find_project(store, run.project)
    kept = {f"code:{each.path.removeprefix('code/')}" for each in run.artifacts}
    for step in (each for each in run.steps if each.name in steps):
        for name, digest in Evidence.from_json(step.evidence).read.items() if step.evidence else ():
            root, _, path = name.partition(":")
            if root == "outputs" or name in kept or digest == "absent" or (root == "code" and "folder" in digest):
                continue
            place = known.folder / path if known and root == "code" else Path(name)
            now = reuse.content_digest(place)
            if now != digest:
                what = "is gone" if now == "absent" else "has changed"
                told.append(f'"{place}", which step "{step.name}" read, {what}')
    return list(dict.fromkeys(told))


def _expected(store: Store, version: ModelVersion) -> object:
    digest = next((each.digest for each in version.files if each.path == packages.EXPECTED), None)
    return json.loads(store.blobs.path(digest).read_text(encoding="utf-8")) if digest else None


def _verdict(sameness: Sameness, kind: str, causes: list[str]) -> Reproduction:
    return Reproduction(
        id=records.new_id("reproduction"),
        version="",
        sameness=sameness,
        kind=kind,
        cause="; ".join(causes),
        created_at=records.now(),
    )


def _recorded(session: Session, version: ModelVersion, found: Reproduction) -> Reproduction:
    named = replace(found, version=version.reference)
    with session.change() as opened:
        reproductions.add_reproduction(opened, named, version_id=version.id)
    return named
