"""Executes a pipeline on the record: each step in a process of its own, or not at all when its outputs are known.

Steps begin as soon as what they take is there, so independent branches run at the same time. What they give is what one
process running them in order would have given: random draws of the whole process go on from step to step, and a step
that drew before it was known where the ones above it had left them runs again.
"""

import contextlib
import json
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelwright import records
from modelwright.datasets import reading, versions
from modelwright.errors import DatasetMissing, ReferenceInvalid, RunStopped, StepFailed
from modelwright.records import BuiltEnvironment, Status, StepRun
from modelwright.runs import collecting, reuse
from modelwright.runs.active import ActiveRun
from modelwright.runs.closures import Code
from modelwright.runs.pipelines import Argument, Pipeline, Step
from modelwright.runs.reuse import Evidence, Places
from modelwright.runs.states import OUTPUT_FOLDER, Progress, Rules, StepState, planned
from modelwright.runs.workers import Ended, Pool
from modelwright.settings import variable
from modelwright.store import datasets, digests, runs

# How long a step's death, a request to cancel or a time limit may go unnoticed.
_TICK_SECONDS = 0.05
_FLUSH_SECONDS = 0.5
_CANCELLED = 86  # the exit code of a step that cancels its run: see recording.py


class Execution:
    """One execution of a pipeline in an active run."""

    def __init__(
        self,
        active: ActiveRun,
        pipeline: Pipeline,
        pool: Pool,
        *,
        rules: Rules | None = None,
        environments: Mapping[str, BuiltEnvironment] | None = None,
        on_step: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """Take the run, the checked pipeline and the workers; `environments` are those that steps name."""
        self.active = active
        self.pipeline = pipeline
        self.rules = rules or Rules()
        self._pool = pool
        self._environments = environments or {}
        self._on_step = on_step
        self._code = Code(active.code / active.source)
        self._places = Places({"outputs": active.outputs, "code": active.code})
        self._states = planned(pipeline)
        self._known = {each.name: each for each in runs.get_run(active.store, active.run.id).steps}
        self._random: str | None = None  # where the draws stand after the steps that are settled in order
        self._settled = 0
        self._failure: StepFailed | None = None
        self._flushed_at = 0.0
        self._ended: list[StepRun] = []
        self._points: list[records.Point] = []
        self._records = collecting.Records(active.store, active.run.id, changing=active.change)

    # --- the whole ---

    @property
    def states(self) -> tuple[StepState, ...]:
        """Where its steps stand, in the pipeline's order."""
        return tuple(self._states)

    def run(self, *, dataset: str) -> dict[str, float]:
        """Execute every step and return the pipeline's metrics.

        What enters the pipeline from outside becomes a version of `dataset`. Raises StepFailed for the first step that
        failed, and RunCancelled when the run was cancelled, from outside or by a step.
        """
        with self._ending():
            self._loop(self._states)
        self._records.flush()
        metrics: dict[str, float] = {}
        name = self.pipeline.results.get("metrics", "")
        for state in self._states:
            metrics |= state.evidence.numbers.get(name, {})
        self._keep_sources(dataset)
        return metrics

    def attend(
        self,
        guest: Path,
        function: str,
        *,
        name: str,
        arguments: Sequence[Mapping[str, object]],
        like: StepState,
    ) -> None:
        """Execute a guest's function on record after the steps, where and with the draws that the step `like` had.

        Its arguments are described as those of a step are. Raises StepFailed and RunCancelled.
        """
        state = StepState(Step(name, "", function, (), (), is_unpacked=False), len(self._states) + 1)
        state.begun_at, state.begun, state.drew_from = time.monotonic(), records.now(), like.evidence.drew_from
        with self._ending(state):
            self._submit(state, self._environment(like.step), arguments, guest=str(guest))
            self._loop([state])

    @contextlib.contextmanager
    def _ending(self, *others: StepState) -> Any:
        """End the steps that still run when the block raises, and say what became of them."""
        try:
            yield
        except BaseException as error:
            for state in (*self._states, *others):
                if state.status is Status.RUNNING:
                    self._pool.kill(self._id(state))
                    self._record(state, Status.CANCELLED, reason=str(error) or "interrupted")
            raise
        finally:
            self._commit()

    def _loop(self, states: list[StepState]) -> None:
        while True:
            for state in states:
                if self._can_begin(state, states):
                    self._begin(state)
            running = [each for each in states if each.status is Status.RUNNING]
            waiting = [each for each in states if each.status is Status.QUEUED and each.not_before > time.monotonic()]
            if not running and not waiting:
                if any(self._can_begin(each, states) for each in states):
                    continue
                break
            self._commit()
            for ended in self._pool.wait(_TICK_SECONDS):
                self._finish(next(each for each in running if self._id(each) == ended.id), ended)
            self._look_after([each for each in running if each.status is Status.RUNNING])
            if self._failure and not self.rules.is_thorough:
                raise self._failure
        if self._failure:
            raise self._failure

    # --- one step ---

    def _can_begin(self, state: StepState, states: list[StepState]) -> bool:
        if state.status is not Status.QUEUED or state.not_before > time.monotonic():
            return False
        if not all(each.is_settled for each in state.after):
            return False
        if state.is_late and self._settled < state.position - 1:
            return False
        busy = sum(each.step.options.cpus for each in states if each.status is Status.RUNNING)
        return busy == 0 or busy + state.step.options.cpus <= self.rules.cpus

    def _begin(self, state: StepState) -> None:
        state.begun_at, state.begun = time.monotonic(), records.now()
        inputs = self._inputs(state)
        environment = self._environment(state.step)
        state.key = reuse.key(
            state.step,
            code=self._code.digest(state.step.module, state.step.function),
            inputs={name: digest for name, (digest, _) in inputs.items()},
            parameters=self._parameters(),
            environment=environment.lock.digest,
            variables={name: variable(name) for name in state.step.options.variables},
        )
        state.drew_from = self._random
        if self._reuse(state):
            return
        if state.is_late and self._settled < state.position - 1:
            return  # it draws random numbers, so it waits for the steps above it
        self._start(state, inputs, environment)

    def _start(self, state: StepState, inputs: Mapping[str, tuple[str, Path]], environment: BuiltEnvironment) -> None:
        parameters = self._parameters() | {OUTPUT_FOLDER: str(self.active.outputs)}

        def described(argument: Argument) -> dict[str, object]:
            if argument.name is not None and argument.name in inputs:
                return {"keyword": argument.keyword, "path": str(inputs[argument.name][1]), "value": None}
            value = parameters[argument.name] if argument.name else argument.value
            return {"keyword": argument.keyword, "path": None, "value": value}

        self._submit(state, environment, [described(argument) for argument in state.step.arguments])

    def _submit(
        self,
        state: StepState,
        environment: BuiltEnvironment,
        arguments: Sequence[Mapping[str, object]],
        *,
        guest: str | None = None,
    ) -> None:
        state.status, state.attempts, state.told, state.is_overdue = Status.RUNNING, state.attempts + 1, [], False
        folder = self.folder(state.step.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._records.forget(folder / "records.jsonl")
        state.files_before = _listing(self.active.outputs) if state.uses_outputs else {}
        with self.active.change() as opened:
            runs.start_step(opened, self.active.run.id, name=state.step.name, position=state.position, key=state.key)
        self._on_step(Progress(state.step.name, Status.RUNNING))
        random = self.active.store.blobs.path(state.drew_from) if state.drew_from else None
        self._pool.submit(
            environment,
            {
                "id": self._id(state),
                "guest": guest,
                "module": state.step.module,
                "function": state.step.function,
                "arguments": arguments,
                "outputs": state.step.outputs,
                "is_unpacked": state.step.is_unpacked,
                "folder": str(folder),
                "records": str(folder / "records.jsonl"),
                "log": str(self._log(state)),
                "random": str(random) if random else None,
                "seed": self.active.run.seed or 0,
            },
        )

    def _reuse(self, state: StepState) -> bool:
        """Take the recorded outputs of an execution that this one would repeat; say whether there is one."""
        mine = self._known.get(state.step.name)
        done = (
            [(self.active.run.id, mine)] if mine and mine.status is Status.SUCCEEDED and mine.key == state.key else []
        )
        if state.step.options.cache and not self.rules.is_fresh:
            done += runs.find_results(self.active.store, state.key)
        blobs = self.active.store.blobs
        for run_id, found in done:
            evidence = Evidence.from_json(found.evidence)
            has_drawn = evidence.left_random is not None
            if has_drawn and self._settled < state.position - 1:
                state.is_late = True
                continue
            if has_drawn and evidence.drew_from != self._random:
                continue
            if not reuse.holds(
                found,
                evidence,
                places=self._places,
                blobs=blobs,
                digest=self._digests(
                    [*map(self._places.path, evidence.read), *map(blobs.path, found.outputs.values())]
                ),
                dataset=self._dataset_digest,
            ):
                continue
            self._take(state, found, evidence, run_id=run_id)
            return True
        return False

    def _take(self, state: StepState, found: StepRun, evidence: Evidence, *, run_id: str) -> None:
        """Let a recorded execution stand for this one, with all that it left and told."""
        for name, digest in evidence.files.items():
            self.active.store.blobs.export(digest, self.active.outputs / name)
        state.evidence, state.outputs, state.attempts = evidence, found.outputs, found.attempts
        if run_id == self.active.run.id:  # a run that is resumed has recorded it before
            state.status = Status.SUCCEEDED
            self._on_step(Progress(state.step.name, state.status, reused_from=run_id))
        else:
            if evidence.told:
                self._records.take(json.loads(self.active.store.blobs.path(evidence.told).read_bytes()))
            self._record(state, Status.SUCCEEDED, reused_from=run_id)
        self._settle(state)

    def _finish(self, state: StepState, ended: Ended) -> None:
        self._read_records(state)
        if state.cancels is not None or ended.code == _CANCELLED:
            reason = state.cancels or "a step cancelled it"
            self._record(state, Status.CANCELLED, reason=reason)
            raise RunStopped(run=self.active.run.id, reason=reason, folder=self.active.project)
        if ended.code != 0:
            limit = f"it took longer than {state.step.options.timeout_seconds:g} s" if state.is_overdue else ""
            self._fail(state, limit or _reason(ended.code, self._log(state)))
            return
        store = self.active.store
        with store.blobs.batch() as batch:
            folder = self.folder(state.step.name)
            facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
            state.outputs = {name: batch.take(folder / f"{name}.value") for name in state.step.outputs}
            told = folder / "told.json"
            if state.told:
                told.write_text(json.dumps(state.told), encoding="utf-8")
            state.evidence = replace(
                reuse.seen(
                    facts,
                    places=self._places,
                    ignored=(
                        *(store.folder / each for each in ("blobs", reading.FOLDER)),
                        self.active.folder / "logs",
                        folder,
                    ),
                    digest=self._digests(map(Path, facts["read"])),
                ),
                drew_from=state.drew_from,
                left_random=batch.take(folder / "random.states") if facts["has_drawn"] else None,
                files=self._written(state, batch.add),
                datasets={each["reference"]: each["digest"] for each in state.told if each["kind"] == "dataset"},
                told=batch.take(told) if state.told else None,
                kept=[each["digest"] for each in state.told if each["kind"] == "artifact"],
            )
            self._record(state, Status.SUCCEEDED)
        self._settle(state)

    def _written(self, state: StepState, add: Callable[[Path], str]) -> dict[str, str]:
        """Keep the files that the step wrote to the output folder; return their digests by path."""
        if not state.uses_outputs:
            return {}
        now = _listing(self.active.outputs)
        changed = (name for name, stamp in now.items() if state.files_before.get(name) != stamp)
        return {name: add(self.active.outputs / name) for name in changed}

    def _fail(self, state: StepState, reason: str) -> None:
        options = state.step.options
        if state.attempts <= options.retries:
            wait = options.retry_seconds * 2 ** (state.attempts - 1)
            state.status, state.not_before = Status.QUEUED, time.monotonic() + wait
            told = f"{reason}; attempt {state.attempts} of {options.retries + 1}, the next in {wait:g} s"
            self._on_step(Progress(state.step.name, Status.QUEUED, reason=told))
            return
        self._record(state, Status.FAILED, reason=reason)
        failure = StepFailed(
            step=state.step.name,
            run=self.active.run.id,
            reason=reason,
            log=self._log(state),
            folder=self.active.project,
        )
        self._failure = self._failure or failure

    def _record(self, state: StepState, status: Status, *, reason: str = "", reused_from: str | None = None) -> None:
        state.status = status
        ended = StepRun(
            name=state.step.name,
            position=state.position,
            status=status,
            outputs=state.outputs,
            started_at=state.begun,
            finished_at=records.now(),
            reason=reason,
            attempts=max(1, state.attempts),
            key=state.key,
            evidence=state.evidence.to_json(),
            reused_from=reused_from,
        )
        is_counted = status is Status.SUCCEEDED and state.position <= len(self._states)
        metrics = state.evidence.numbers.get(self.pipeline.results.get("metrics", ""), {}) if is_counted else {}
        self._ended.append(ended)
        self._points += [records.Point(name, 0, value, ended.started_at) for name, value in metrics.items()]
        if reused_from is None:
            self._commit()
        seconds = time.monotonic() - state.begun_at
        self._on_step(Progress(state.step.name, status, seconds, reused_from, reason))

    def _commit(self) -> None:
        """Write down the steps that have ended: at once when one ran, together when they were reused."""
        ended, self._ended = self._ended, []
        points, self._points = self._points, []
        if ended:
            self._records.flush()  # what steps told comes before what the pipeline returns
            with self.active.change() as opened:
                for each in ended:
                    runs.finish_step(opened, self.active.run.id, each)
                runs.log_points(opened, self.active.run.id, points)

    # --- what all of them share ---

    def _settle(self, state: StepState) -> None:
        """Let what waits for the step go on, once its result is the one that it would have had in order."""
        has_drawn = state.evidence.left_random is not None
        if state.position > len(self._states):
            return
        state.is_settled = not has_drawn
        while self._settled < len(self._states):
            each = self._states[self._settled]
            if each.status is not Status.SUCCEEDED:
                return
            if each.evidence.left_random is not None:
                if not each.is_settled and each.evidence.drew_from != self._random:
                    # It drew from where the draws stood before the steps above it had ended.
                    each.status, each.is_late, each.attempts = Status.QUEUED, True, 0
                    return
                self._random = each.evidence.left_random
            each.is_settled = True
            self._settled += 1

    def _look_after(self, running: list[StepState]) -> None:
        """Read what running steps record, hold them to their time limits, and heed a request to cancel."""
        for state in running:
            self._read_records(state)
            limit = state.step.options.timeout_seconds
            if limit is not None and time.monotonic() - state.begun_at > limit:
                state.is_overdue = True
                self._pool.kill(self._id(state))
        if time.monotonic() - self._flushed_at > _FLUSH_SECONDS:
            self._records.flush()
            self._flushed_at = time.monotonic()
        reason = self.active.cancel_reason()
        if reason is not None:
            raise RunStopped(run=self.active.run.id, reason=reason, folder=self.active.project)

    def _read_records(self, state: StepState) -> None:
        told = self._records.read(self.folder(state.step.name) / "records.jsonl")
        state.told += told
        state.cancels = self._records.take(told) or state.cancels

    def _keep_sources(self, dataset: str) -> None:
        """Link the values that enter the pipeline from outside, as a version of the dataset."""
        digests = {name: digest for each in self._states for name, digest in each.outputs.items()}
        sources = {
            name: self.active.store.blobs.path(digests[name]) for name in self.pipeline.sources() if name in digests
        }
        if sources:
            version = versions.pin(self.active.store, dataset, files=sources, actor=self.active.actor)
            with self.active.change() as opened:
                runs.link_dataset(opened, self.active.run.id, dataset=version, role="training data")

    def _inputs(self, state: StepState) -> dict[str, tuple[str, Path]]:
        """Return the digests and files of the values that the step takes."""
        digests = {name: maker.outputs[name] for name, maker in state.makers.items()}
        return {name: (digest, self.active.store.blobs.path(digest)) for name, digest in digests.items()}

    def _digests(self, paths: Iterable[Path]) -> Callable[[Path], str]:
        """Return what gives the digest of a file; those of these paths are looked up together."""
        store = self.active.store
        found = digests.digests(store, [path for path in set(paths) if path.is_file()])
        return lambda path: found.get(path) or digests.digests(store, [path])[path]

    def _dataset_digest(self, reference: str) -> str:
        try:
            return datasets.find_dataset_version(self.active.store, reference).digest
        except (DatasetMissing, ReferenceInvalid):
            return ""

    def _parameters(self) -> dict[str, object]:
        return self.active.run.parameters | {OUTPUT_FOLDER: OUTPUT_FOLDER}

    def _environment(self, step: Step) -> BuiltEnvironment:
        named = step.options.environment
        return self._environments[named] if named else self.active.environment

    def folder(self, name: str) -> Path:
        """Return where a step of that name has its files while it runs."""
        return self.active.folder / "steps" / name

    def _log(self, state: StepState) -> Path:
        return self.active.folder / "logs" / f"{state.step.name}.log"

    def _id(self, state: StepState) -> str:
        return f"{state.step.name}#{state.attempts}"


def _listing(folder: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            stat = path.stat()
            found[path.relative_to(folder).as_posix()] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
    return found


def _reason(code: int, log: Path) -> str:
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    has_raised = any(line.startswith("Traceback (most recent call last)") for line in lines)
    return lines[-1] if has_raised else f"exit code {code}"
