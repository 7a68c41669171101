"""Pipelines called as functions, in the caller's own process: on the record, and with the same truthful reuse.

    @modelwright.pipeline
    def train(alpha: float = 0.5):
        rows = load()
        model = fit(rows, alpha=alpha)
        return {"model": model}

    results = train(alpha=0.3)

The graph is read from the function's text before anything runs. Each step gets its inputs as they were kept, so a step
that changes its input changes nothing for others. A step that logs something to the run is not reused: what it logged
would be missing. What is written down is committed a few times a second, not with each step: after kill -9 the last
moment's steps run again.
"""

import ast
import contextlib
import functools
import inspect
import pickle
import sys
import textwrap
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelwright import records, settings
from modelwright.errors import ParameterUnknown, ProjectInvalid
from modelwright.records import Status, StepRun
from modelwright.runs import machine, pipelines, reuse, tracking, worker
from modelwright.runs.closures import Code
from modelwright.runs.pipelines import Pipeline, Step
from modelwright.runs.reuse import Evidence, Places
from modelwright.runs.tracking import TrackedRun
from modelwright.store import runs
from modelwright.store.blobs import Batch
from modelwright.store.changes import change

_FLUSH_SECONDS = 0.2


def pipeline(function: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """Return the pipeline that the function's lines describe.

    Called, it runs the steps that have changed and returns what the function returns, by name; `experiment=` and
    `is_fresh=True` may be given besides its parameters.

    Raises ProjectInvalid, with the line, when the function is no pipeline, and ParameterUnknown; what a step raises
    goes through as it is.
    """

    @functools.wraps(function)
    def call(*, experiment: str = "", is_fresh: bool = False, **overrides: object) -> dict[str, Any]:
        described = _described(function)
        unknown = [name for name in overrides if name not in described.parameters]
        if unknown:
            known = ", ".join(described.parameters) or "none"
            raise ParameterUnknown(name=unknown[0], known=known, folder=described.file)
        named = experiment or function.__name__
        parameters = described.parameters | overrides
        with tracking.start_run(named, parameters=parameters) as tracked:
            calling = _Call(described, function.__globals__, parameters, tracked, is_fresh=is_fresh)
            return calling.perform()

    return call


def step(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Say more of a function that is a step: see Options. Raises TypeError for an option that there is none of."""
    checked = pipelines.Options(**options)

    def mark(marked: Callable[..., Any]) -> Callable[..., Any]:
        marked.__step_options__ = checked  # type: ignore[attr-defined]
        return marked

    return mark if function is None else mark(function)


@functools.lru_cache(maxsize=256)
def _described(function: Callable[..., Any]) -> Pipeline:
    """Read the function's text into a graph, with the options that `@step` gave its functions."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except OSError as error:
        raise ProjectInvalid(path=function.__qualname__, reason="its text is not to be had") from error
    node = ast.parse(text).body[0]
    file = Path(function.__code__.co_filename)
    if not isinstance(node, ast.FunctionDef):
        raise ProjectInvalid(path=file, reason=f'"{function.__name__}" is no plain function')
    ast.increment_lineno(node, function.__code__.co_firstlineno - 1)
    names = {
        name: (value.__module__, name)
        for name, value in function.__globals__.items()
        if callable(value) and hasattr(value, "__module__") and hasattr(value, "__name__")
    }
    read = pipelines.read_function(node, file=file, modules=names)
    plain = pipelines.Options()
    steps = (
        replace(each, options=getattr(function.__globals__[each.function], "__step_options__", plain))
        for each in read.steps
    )
    return replace(read, steps=tuple(steps))


@dataclass
class _Call:
    """One call of a pipeline."""

    pipeline: Pipeline
    names: dict[str, Any]
    parameters: dict[str, object]
    tracked: TrackedRun
    is_fresh: bool

    def __post_init__(self) -> None:
        self.store = self.tracked.store
        self.folder = self.store.folder / "runs" / self.tracked.id / "steps"
        self.places = Places({})
        self.environment = machine.lock_of_interpreter(self.store.folder / "interpreters").digest
        self.known: dict[str, tuple[str, StepRun]] = {}
        self.values: dict[str, str] = {}
        self.random: str | None = None
        self.ended: list[StepRun] = []
        self.flushed_at = time.monotonic()

    def perform(self) -> dict[str, Any]:
        """Run what has changed and return the pipeline's results by name."""
        if not self.is_fresh:
            self.known = runs.latest_results(self.store, experiment=self.tracked.experiment)
        try:
            with self.store.blobs.batch() as batch, _own_random_states():
                for position, step in enumerate(self.pipeline.steps, start=1):
                    self._perform(step, position, batch)
                self._flush()
        finally:
            self._flush()
        return {name: self._value(value) for name, value in self.pipeline.results.items()}

    def _perform(self, step: Step, position: int, batch: Batch) -> None:
        begun = records.now()
        key = reuse.key(
            step,
            code=_code_digest(self.names[step.function]),
            inputs={name: self.values[name] for name in step.inputs if name in self.values},
            parameters=self.parameters,
            environment=self.environment,
            variables={name: settings.variable(name) for name in step.options.variables},
        )
        found = self._found(key) if step.options.cache and not self.is_fresh else None
        if found:
            run_id, known = found
            evidence = Evidence.from_json(known.evidence)
            outputs, reused_from = known.outputs, run_id
        else:
            outputs, evidence = self._called(step, batch)
            reused_from = None
        if evidence.left_random:
            self.random = evidence.left_random
        self.values |= outputs
        ended = StepRun(
            name=step.name,
            position=position,
            status=Status.SUCCEEDED,
            outputs=outputs,
            started_at=begun,
            finished_at=records.now(),
            key=key,
            evidence=evidence.to_json(),
            reused_from=reused_from,
        )
        self.ended.append(ended)
        if time.monotonic() - self.flushed_at > _FLUSH_SECONDS:
            self._flush()

    def _found(self, key: str) -> tuple[str, StepRun] | None:
        """Return a recorded execution that holds, with its run."""
        latest = self.known.get(key)
        for run_id, found in [latest] if latest else runs.find_results(self.store, key):
            evidence = Evidence.from_json(found.evidence)
            has_same_draws = evidence.left_random is None or evidence.drew_from == self.random
            if has_same_draws and reuse.holds(found, evidence, places=self.places, blobs=self.store.blobs):
                return found.reused_from or run_id, found
        return None

    def _called(self, step: Step, batch: Batch) -> tuple[dict[str, str], Evidence]:
        """Call the step's function with its inputs, and keep what it gives."""
        positional = [self._argument(each) for each in step.arguments if each.keyword is None]
        keywords = {each.keyword: self._argument(each) for each in step.arguments if each.keyword}
        states = str(self.store.blobs.path(self.random)) if self.random else None
        before = worker.restore_random(states, 0)
        watch = _watching()
        watch.reset()
        logged = self.tracked.logged
        watch.begin()
        try:
            result = self.names[step.function](*positional, **keywords)
        finally:
            watch.end()
        after = worker.random_states()
        values = tuple(result) if step.is_unpacked else (result,) * len(step.outputs)
        if len(values) != len(step.outputs):
            reason = f"line {step.line}: {step.function} gave {len(values)} values where {len(step.outputs)} are taken"
            raise ProjectInvalid(path=self.pipeline.file, reason=reason)
        self.folder.mkdir(parents=True, exist_ok=True)
        outputs = {}
        for name, value in zip(step.outputs, values, strict=True):
            file = self.folder / f"{name}.value"
            worker.write_value(value, file, name)
            outputs[name] = batch.take(file)
        evidence = reuse.seen(watch.facts() | {"numbers": {}}, places=self.places, ignored=(self.store.folder,))
        # What it logged went to this run, and would be missing in another one that reuses the step.
        evidence = replace(evidence, is_unstable=evidence.is_unstable or self.tracked.logged != logged)
        if after != before:
            file = self.folder / "random.states"
            file.write_bytes(after)
            evidence = replace(evidence, drew_from=self.random, left_random=batch.take(file))
        return outputs, evidence

    def _argument(self, argument: pipelines.Argument) -> Any:
        if argument.name is None:
            return argument.value
        if argument.name in self.values:
            return self._value(argument.name)
        return self.parameters[argument.name]

    def _value(self, name: str) -> Any:
        return worker.read_value(str(self.store.blobs.path(self.values[name])))

    def _flush(self) -> None:
        ended, self.ended = self.ended, []
        self.flushed_at = time.monotonic()
        if ended:
            with change(self.store, actor=settings.actor()) as opened:
                runs.add_steps(opened, self.tracked.id, ended)


# --- what one process has once ---


@functools.lru_cache(maxsize=1)
def _watching() -> worker.Watch:
    # An audit hook stays for good: one, that listens only while a step runs.
    watch = worker.Watch("")
    sys.addaudithook(watch.hear)
    return watch


@contextlib.contextmanager
def _own_random_states() -> Iterator[None]:
    """Give the caller's random draws back to it as they were."""
    before = pickle.loads(worker.random_states())  # noqa: S301 - pickled in the same line
    try:
        yield
    finally:
        worker.set_random(before)


def _code_digest(function: Callable[..., Any]) -> str:
    """Return the digest of what a function reaches: by its project's files, or as it lives when it has none."""
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None or module.__name__ == "__main__":
        return _live_digest(inspect.unwrap(function))
    path = Path(file)
    stamp = path.stat().st_mtime_ns
    return _file_digest(path, module.__name__, function.__name__, stamp)


@functools.lru_cache(maxsize=4096)
def _file_digest(file: Path, module: str, function: str, _stamp: int) -> str:
    depth = len(module.split(".")) + (file.name == "__init__.py")
    return Code(file.parents[depth - 1]).digest(module, function)


def _live_digest(function: Any) -> str:
    """Return the digest of a function's compiled code and of the live values that it names, through all it calls."""
    from blake3 import blake3

    parts: list[bytes] = []
    waiting: list[Any] = [function]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, types.FunctionType) and _is_live(value):
            parts += _code_parts(value.__code__, value.__doc__)
            names = [*value.__code__.co_names, *(each for code in _inner(value.__code__) for each in code.co_names)]
            waiting += [value.__globals__[name] for name in names if name in value.__globals__]
            waiting += [each.cell_contents for each in value.__closure__ or ()]
            waiting += [value.__defaults__, value.__kwdefaults__]
        elif isinstance(value, (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)):
            parts.append(f"{type(value).__name__} {getattr(value, '__module__', '')} {value.__name__}".encode())
            if isinstance(value, type) and value.__module__ == "__main__":
                waiting += [each for each in vars(value).values() if isinstance(each, types.FunctionType)]
        else:
            try:
                parts.append(pickle.dumps(value, protocol=5))
            except Exception:  # noqa: BLE001 - what cannot be pickled raises anything; it makes the step run every time
                parts.append(records.new_id("live").encode())
    return blake3(b"\0".join(sorted(parts))).hexdigest()


def _is_live(function: types.FunctionType) -> bool:
    return function.__module__ == "__main__" or not Path(function.__code__.co_filename).is_file()


def _code_parts(code: types.CodeType, documentation: str | None) -> list[bytes]:
    constants = [each for each in code.co_consts if not isinstance(each, types.CodeType) and each != documentation]
    found = [code.co_code + repr((code.co_names, code.co_varnames, constants)).encode()]
    return found + [part for each in _inner(code) for part in _code_parts(each, None)]


def _inner(code: types.CodeType) -> list[types.CodeType]:
    return [each for each in code.co_consts if isinstance(each, types.CodeType)]
