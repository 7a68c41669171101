"""The model package: the folder format of a version, made from a run's artifacts and restored from the store."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelwright import processes
from modelwright.environments import building
from modelwright.errors import RunNotRegistrable
from modelwright.models import signature
from modelwright.notebooks.layouts import Layout
from modelwright.projects.manifest import MANIFEST_FILE, read_manifest
from modelwright.records import BuiltEnvironment, ModelVersion, PackageFile, Run
from modelwright.settings import child_environment
from modelwright.store.blobs import digest_of
from modelwright.store.database import Store

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODEL_FOLDER = "model"
# Where the script of packages is whose manifest does not say: those of flat projects.
_SCORING_SCRIPT = "score.py"
SAMPLE = "sample.json"
EXPECTED = "expected.json"
LOCK = "requirements.lock"

_WORKER = Path(__file__).with_name("worker.py")

# Of the project's code a package takes the modules, which the scoring script may import, and these files.
_SERVED_FILES = frozenset({LOCK, SAMPLE})


@dataclass(frozen=True)
class Package:
    """A package folder that was described by running it."""

    folder: Path
    files: tuple[PackageFile, ...]
    digest: str
    framework: str
    signature: dict[str, object]


@contextmanager
def packaged(store: Store, run: Run, *, environment: BuiltEnvironment) -> Iterator[Package]:
    """Build the package of a run in a temporary folder, score its sample, and describe what was seen.

    Raises RunNotRegistrable when the run wrote no model or its scoring script does not answer the sample.
    """
    with tempfile.TemporaryDirectory(prefix="wright-package-") as name:
        folder = Path(name)
        layout = _layout(store, run)
        for artifact in run.artifacts:
            target = _target(artifact.path, layout)
            if target:
                store.blobs.export(artifact.digest, folder / target)
        models = sorted(path for path in (folder / MODEL_FOLDER).rglob("*") if path.is_file())
        if not models:
            raise RunNotRegistrable(
                run=run.id, reason="it wrote no model file to its output folder", project=run.project
            )
        if not (folder / SAMPLE).is_file():
            reason = f"its project has no {SAMPLE}, the request that its scoring script is tried with"
            raise RunNotRegistrable(run=run.id, reason=reason, project=run.project)
        described = _describe(folder, models[0], run=run, layout=layout, environment=environment)
        inferred = signature.infer(described, json.loads((folder / SAMPLE).read_text(encoding="utf-8")))
        _write_json(folder / "signature.json", inferred)
        _write_json(folder / EXPECTED, described["sample_answer"])
        files = _files_in(folder)
        _write_json(
            folder / MANIFEST,
            {
                "format": "modelwright-package",
                "format_version": FORMAT_VERSION,
                "framework": described["framework"],
                "framework_version": described["framework_version"],
                "model_class": described["model_class"],
                "scoring_script": layout.file(layout.score),
                "python_version": environment.lock.python_version,
                "files": {each.path: each.digest for each in files},
            },
        )
        digest = digest_of(folder / MANIFEST)
        yield Package(folder, _files_in(folder), digest, str(described["framework"]), inferred)


def restore(store: Store, version: ModelVersion) -> Path:
    """Return the package folder of `version`, written from the store when it is not there yet; every byte verified.

    Inside it `azureml-models/<name>/<version>` is the folder with the model's files, where scoring scripts written
    for Azure Machine Learning look for them.
    """
    folder = package_folder(store, version)
    if (folder / MANIFEST).is_file() and digest_of(folder / MANIFEST) == version.digest:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for each in version.files:
        store.blobs.export(each.digest, partial / each.path, is_executable=each.is_executable)
    models = partial / "azureml-models" / version.model
    models.mkdir(parents=True)
    (models / str(version.version)).symlink_to(Path("../..") / MODEL_FOLDER, target_is_directory=True)
    partial.rename(folder)
    return folder


def package_folder(store: Store, version: ModelVersion) -> Path:
    """Return where the package of a version is restored to."""
    return store.folder / "packages" / version.model / str(version.version)


def model_folder(package: Path, version: ModelVersion) -> Path:
    """Return what `AZUREML_MODEL_DIR` is to be for this version."""
    return package / "azureml-models" / version.model / str(version.version)


def scoring_script(package: Path) -> Path:
    """Return the scoring script of a package."""
    manifest = json.loads((package / MANIFEST).read_text(encoding="utf-8"))
    return package / str(manifest.get("scoring_script", _SCORING_SCRIPT))


def _layout(store: Store, run: Run) -> Layout:
    """Return where the modules of the run's project stand."""
    digests = {each.path: each.digest for each in run.artifacts}
    with tempfile.TemporaryDirectory(prefix="wright-manifest-") as name:
        store.blobs.export(digests[f"code/{MANIFEST_FILE}"], Path(name, MANIFEST_FILE))
        return read_manifest(Path(name)).layout


def _target(artifact: str, layout: Layout) -> str | None:
    """Return where an artifact of a run goes in its package; None when nothing that serves needs it."""
    where, _, path = artifact.partition("/")
    if where == "outputs":
        return f"{MODEL_FOLDER}/{path}"
    is_ours = path.startswith(f"{layout.source}/") if layout.package else not path.startswith("tests/")
    is_served = path.endswith(".py") and is_ours and path != layout.file(layout.pipeline)
    return path if is_served or path in _SERVED_FILES else None


def _describe(
    folder: Path, model: Path, *, run: Run, layout: Layout, environment: BuiltEnvironment
) -> dict[str, object]:
    result = folder / "described.json"
    done = processes.run(
        [environment.python, _WORKER, folder / layout.source, layout.score, folder / SAMPLE, model, result],
        folder=folder,
        environment=child_environment(
            building.variables(environment, folder) | {"AZUREML_MODEL_DIR": str(folder / MODEL_FOLDER)}
        ),
        timeout_seconds=600,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RunNotRegistrable(run=run.id, reason=f"its scoring script fails on {SAMPLE}: {last}", project=run.project)
    described: dict[str, object] = json.loads(result.read_text(encoding="utf-8"))
    result.unlink()
    return described


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
