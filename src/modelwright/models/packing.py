"""Makes model packages: of what a run made, or of files from anywhere, tried in the model's own environment."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from modelwright import processes
from modelwright.environments import building
from modelwright.errors import CommandTimedOut, FileBusy, FileNotReadable, RunNotRegistrable, VersionNotRegistrable
from modelwright.models import guest, packages, signature
from modelwright.models.fusing import fusing
from modelwright.models.fusing.scripts import Form, form_of
from modelwright.models.packages import EXPECTED, LOCK, MANIFEST, MODEL_FOLDER, SAMPLE, SIGNATURE
from modelwright.models.sources import OUTPUTS, Source, chosen
from modelwright.notebooks.layouts import Layout
from modelwright.projects.manifest import MANIFEST_FILE, read_manifest
from modelwright.records import BuiltEnvironment, Lock, ModelVersion, PackageFile, Run
from modelwright.settings import child_environment
from modelwright.store import claims
from modelwright.store.blobs import digest_of
from modelwright.store.database import Store

_WORKER = Path(__file__).with_name("worker.py")
_APART = Path(__file__).parent / "fusing" / "worker.py"
_UNKNOWN = "custom"
# Frameworks whose models may be arrays.
_TAKEN_APART = frozenset({"sklearn", "scikit-learn", "scikitlearn"})
# As when it serves: a request of one row never pays for a team of threads, and sums come in one order.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

# Of the project's code a package takes the modules, which the scoring script may import, and these files.
_SERVED_FILES = frozenset({LOCK, SAMPLE})


@dataclass(frozen=True)
class Package:
    """A finished package folder, and what was seen of its model when it was tried.

    The bytes of files that are `kept` are in the store already, and not in the folder.
    """

    folder: Path
    files: tuple[PackageFile, ...]
    digest: str
    framework: str
    framework_version: str
    signature: dict[str, object]
    kept: tuple[PackageFile, ...] = ()


@dataclass(frozen=True)
class Trial:
    """What a model from elsewhere is served and tried with: a scoring script, a request, an environment.

    With all three the request is scored and its answer kept; with fewer there is nothing to try. A model that is served
    without a script may still be fused, with the help of what serves it. The models of `companions` are there as well.
    """

    score: Path | None = None
    sample: Path | None = None
    lock: Lock | None = None
    environment: BuiltEnvironment | None = None  # the lock's, built only where it is needed
    framework: str = ""
    companions: tuple[ModelVersion, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the model can be tried."""
        return self.score is not None and self.sample is not None and self.lock is not None

    @property
    def is_of_arrays(self) -> bool:
        """Whether the model may turn out to be arrays, though it has no scoring script."""
        return self.score is None and self.lock is not None and self.framework.lower() in _TAKEN_APART


@dataclass(frozen=True)
class _Script:
    """A scoring script in a package: its file, and how it is imported."""

    file: str
    folder: Path
    module: str


@dataclass(frozen=True)
class _Made:
    """What is known of a package's content before it is sealed."""

    described: Mapping[str, object] = field(default_factory=dict)
    signature: Mapping[str, object] = field(default_factory=dict)
    script: str | None = None
    python_version: str | None = None
    empty_folders: Sequence[str] = ()


@contextmanager
def packaged(store: Store, run: Run, *, environment: BuiltEnvironment, paths: Sequence[str] = ()) -> Iterator[Package]:
    """Build the package of a run in a passing folder, score its sample, and describe what was seen.

    `paths` choose among the files that the run wrote. Raises RunNotRegistrable when it wrote no model or its scoring
    script does not answer the sample, and SourceMissing when it wrote no such file.
    """
    with claims.scratch_folder(store) as scratch:
        folder = scratch / "package"
        folder.mkdir()
        layout = _layout(store, run)
        targets = {each: _target(each.path, layout) for each in run.artifacts}
        written = {each.path.removeprefix(OUTPUTS) for each in run.artifacts if each.path.startswith(OUTPUTS)}
        wanted = {f"{OUTPUTS}{path}" for path in chosen(written, paths, within=run.id)}
        for artifact, target in targets.items():
            if target and (artifact.path in wanted or not artifact.path.startswith(OUTPUTS)):
                store.blobs.export(artifact.digest, folder / target)
        models = sorted(path for path in (folder / MODEL_FOLDER).rglob("*") if path.is_file())
        if not models:
            raise RunNotRegistrable(
                run=run.id, reason="it wrote no model file to its output folder", project=run.project
            )
        if not (folder / SAMPLE).is_file():
            reason = f"its project has no {SAMPLE}, the request that its scoring script is tried with"
            raise RunNotRegistrable(run=run.id, reason=reason, project=run.project)
        script = _Script(layout.file(layout.score), folder / layout.source, layout.score)
        described, failure = _describe(
            folder,
            str(models[0]),
            script=script,
            environment=environment,
            models=_models_beside(store, folder, model=run.project),
        )
        if failure:
            reason = f"its scoring script fails on {SAMPLE}: {failure}"
            raise RunNotRegistrable(run=run.id, reason=reason, project=run.project)
        inferred = signature.infer(described, json.loads((folder / SAMPLE).read_text(encoding="utf-8")))
        version = environment.lock.python_version
        yield _sealed(folder, _Made(described, inferred, script=script.file, python_version=version))


@contextmanager
def assembled(
    store: Store, source: Source, *, model: str, trial: Trial, given: Mapping[str, object]
) -> Iterator[Package]:
    """Build the package of files from anywhere in a passing folder, and try it when there is enough to try it with.

    `given` is the signature that came with the files, if one did. Raises VersionNotRegistrable when the sample does not
    answer to it, or the scoring script does not answer the sample.
    """
    with claims.scratch_folder(store) as scratch:
        folder = scratch / "package"
        folder.mkdir()
        for name, path in source.files.items():
            _copy(path, folder / MODEL_FOLDER / name)
        sample = _take_sample(folder, trial.sample, model=model, given=given) if trial.sample else None
        script = None
        if trial.score is not None:
            _copy(trial.score, folder / trial.score.name)
            script = _Script(trial.score.name, folder, trial.score.stem)
        empty = [f"{MODEL_FOLDER}/{each}" for each in source.empty_folders]
        for each in empty:
            (folder / each).mkdir(parents=True)
        made = _Made(signature=given, script=script.file if script else None, empty_folders=empty)
        if script and trial.is_complete and trial.environment:
            models = _models_beside(store, folder, model=model, companions=trial.companions)
            described, failure = _describe(folder, "-", script=script, environment=trial.environment, models=models)
            if failure:
                reason = f'its scoring script "{trial.score}" fails on the sample: {failure}'
                raise VersionNotRegistrable(
                    model=model, reason=reason, next="mend the script or the sample, then again"
                )
            version = trial.environment.lock.python_version
            made = _Made(described, signature.infer(described, sample), made.script, version, empty)
        elif trial.is_of_arrays and trial.environment:
            _take_apart(folder, trial, given=given)
        yield _sealed(folder, made)


@contextmanager
def gathered(store: Store, kept: Sequence[PackageFile], *, given: Mapping[str, object]) -> Iterator[Package]:
    """Build the package of files whose bytes are in the store: only what describes them is written.

    `given` is the signature that came with the files, if one did.
    """
    with claims.scratch_folder(store) as folder:
        yield _sealed(folder, _Made(signature=given), kept=kept)


def _take_apart(folder: Path, trial: Trial, *, given: Mapping[str, object]) -> None:
    """Find out whether a model without a scoring script is arrays, and put the verdict into its package."""
    assert trial.environment is not None  # noqa: S101 - the caller has one
    parts = folder.with_name("parts")
    parts.mkdir()
    if given:
        _write_json(folder / SIGNATURE, given)
    sample = [folder / SAMPLE] if (folder / SAMPLE).is_file() else []
    with contextlib.suppress(CommandTimedOut):
        processes.run(
            [
                trial.environment.python,
                _APART,
                Path(guest.__file__).parent,
                trial.framework,
                folder / MODEL_FOLDER,
                folder,
                parts,
                *sample,
            ],
            folder=folder,
            environment=child_environment(building.variables(trial.environment, folder) | _ONE_THREAD),
            timeout_seconds=600,
        )
    fusing.fuse(folder, parts, Form("data", "result", ""), is_alone=True)


def _sealed(folder: Path, made: _Made, *, kept: Sequence[PackageFile] = ()) -> Package:
    """Write what describes a package into it: signature, the sample's answer, and last the manifest of all files."""
    if made.signature:
        _write_json(folder / SIGNATURE, made.signature)
    if "sample_answer" in made.described:
        _write_json(folder / EXPECTED, made.described["sample_answer"])
    framework, version = str(made.described.get("framework") or _UNKNOWN), made.described.get("framework_version", "")
    _write_json(
        folder / MANIFEST,
        {
            "format": "modelwright-package",
            "format_version": packages.FORMAT_VERSION,
            "framework": framework,
            "framework_version": version,
            "model_class": made.described.get("model_class", ""),
            "scoring_script": made.script,
            "python_version": made.python_version,
            "files": {each.path: each.digest for each in (*kept, *_files_in(folder))},
            **({"empty_folders": list(made.empty_folders)} if made.empty_folders else {}),
        },
    )
    digest = digest_of(folder / MANIFEST)
    return Package(folder, _files_in(folder), digest, framework, str(version), dict(made.signature), tuple(kept))


def _copy(path: Path, target: Path) -> None:
    """Copy a file with its executable bit. Raises FileNotReadable, and FileBusy when somebody writes to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        before = path.stat()
        shutil.copyfile(path, target)
        after = path.stat()
    except OSError as error:
        raise FileNotReadable(path=path, reason=error.strerror) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise FileBusy(path=path)
    target.chmod(0o755 if before.st_mode & 0o100 else 0o644)


def _take_sample(folder: Path, sample: Path, *, model: str, given: Mapping[str, object]) -> object:
    """Put the sample request into the package and return it. Raises VersionNotRegistrable."""
    told = "give a request that the model answers, as JSON: --sample FILE"
    try:
        text = sample.read_text(encoding="utf-8")
        value: object = json.loads(text)
    except ValueError as error:
        raise VersionNotRegistrable(
            model=model, reason=f'the sample "{sample}" is no JSON: {error}', next=told
        ) from error
    disagreement = signature.disagreement(given, value)
    if disagreement:
        reason = f'the sample "{sample}" does not answer to the signature that came with the files: {disagreement}'
        raise VersionNotRegistrable(model=model, reason=reason, next=told)
    (folder / SAMPLE).write_text(text, encoding="utf-8")
    return value


def _layout(store: Store, run: Run) -> Layout:
    """Return where the modules of the run's project stand."""
    found = {each.path: each.digest for each in run.artifacts}
    with claims.scratch_folder(store) as folder:
        store.blobs.export(found[f"code/{MANIFEST_FILE}"], folder / MANIFEST_FILE)
        return read_manifest(folder).layout


def _target(artifact: str, layout: Layout) -> str | None:
    """Return where an artifact of a run goes in its package; None when nothing that serves needs it."""
    where, _, path = artifact.partition("/")
    if where == "outputs":
        return f"{MODEL_FOLDER}/{path}"
    is_ours = path.startswith(f"{layout.source}/") if layout.package else not path.startswith("tests/")
    is_served = path.endswith(".py") and is_ours and path != layout.file(layout.pipeline)
    return path if is_served or path in _SERVED_FILES else None


def _describe(
    folder: Path, model_file: str, *, script: _Script, environment: BuiltEnvironment, models: Path
) -> tuple[dict[str, object], str]:
    """Run the scoring script on the sample; return what was seen of the model, or in one line why it failed.

    The script finds its model, or several, in `models`. The model is taken apart, too: whether it is fused is then said
    in the package.
    """
    result, parts = folder.with_name("described.json"), folder.with_name("parts")
    parts.mkdir()
    form = form_of((folder / script.file).read_bytes())
    taking_apart: list[str | Path] = [parts, form.key, form.model] if form else []
    done = processes.run(
        [environment.python, _WORKER, script.folder, script.module, folder / SAMPLE, model_file, result, *taking_apart],
        folder=folder,
        environment=child_environment(
            building.variables(environment, folder) | _ONE_THREAD | {"AZUREML_MODEL_DIR": str(models)}
        ),
        timeout_seconds=600,
    )
    if done.returncode != 0 and not result.is_file():
        return {}, (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    described: dict[str, object] = json.loads(result.read_text(encoding="utf-8"))
    fusing.fuse(folder, parts, form)
    return described, ""


def _models_beside(store: Store, folder: Path, *, model: str, companions: Sequence[ModelVersion] = ()) -> Path:
    """Lay out the package's model as it is served; return its folder or, with `companions`, that of all.

    Scripts find the model's name as the last but one part of this path.
    """
    root = folder.with_name(packages.LINKS)
    for each in companions:
        place = root / each.model / str(each.version)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(packages.restore(store, each) / MODEL_FOLDER, target_is_directory=True)
    own = root / model / str(max((each.version for each in companions if each.model == model), default=0) + 1)
    own.parent.mkdir(parents=True, exist_ok=True)
    own.symlink_to(folder / MODEL_FOLDER, target_is_directory=True)
    return root if companions else own


def _files_in(folder: Path) -> tuple[PackageFile, ...]:
    return tuple(
        PackageFile(
            path=path.relative_to(folder).as_posix(),
            digest=digest_of(path),
            size_bytes=path.stat().st_size,
            is_executable=bool(path.stat().st_mode & 0o100),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
