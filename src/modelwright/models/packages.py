"""The model package: the folder format of a version, restored from the store with every byte compared."""

import contextlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from modelwright.errors import BlobDamaged, FolderTaken, VersionDamaged, VersionIncomplete
from modelwright.records import ModelVersion, PackageFile
from modelwright.store import claims, digests
from modelwright.store.blobs import digest_of
from modelwright.store.database import Store

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODEL_FOLDER = "model"
# Where the script of packages is whose manifest does not say: those of flat projects.
_SCORING_SCRIPT = "score.py"
SAMPLE = "sample.json"
EXPECTED = "expected.json"
SIGNATURE = "signature.json"
LOCK = "requirements.lock"
LINKS = "azureml-models"
# Where the models of several versions lie that are served together; no model's name begins like that.
_TOGETHER = ".together"
# What is served without a scoring script, by the names that registries give it. `models/guest/frameworks.py` loads it.
SERVED_BY_ITSELF = frozenset(
    {"sklearn", "scikit-learn", "scikitlearn", "xgboost", "lightgbm", "onnx", "torchscript", "torch", "pytorch"}
)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """A file of a version whose bytes are not those registered; `found` is empty when it is gone."""

    file: str
    place: str
    expected: str
    found: str


def restore(store: Store, version: ModelVersion) -> Path:
    """Return the package folder of `version`, written from the store when it is not there yet; every byte verified.

    A file of it that has certainly not changed since it was last read is not read again; one that was changed is
    written again, and the log says so. Inside, `azureml-models/<name>/<version>` is the folder with the model's files,
    where scoring scripts written for Azure Machine Learning look for them. Raises VersionDamaged.
    """
    folder = package_folder(store, version)
    is_replaced = folder.exists()
    if (folder / MANIFEST).is_file():
        faults = _faults_in(folder, version, _digests_in(store, folder, version))
        if not faults and _has_folders(folder):
            return folder
        for fault in faults:
            _LOG.warning('"%s" of %s was changed on disk; it is written again', fault.place, version.reference)
    with claims.scratch_folder(store) as scratch:
        made = scratch / "package"
        lay_out(store, version, made)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if is_replaced:
            with contextlib.suppress(FileNotFoundError):
                folder.rename(scratch / "damaged")
        _put_in_place(made, folder)
    return folder


def gather(store: Store, versions: Sequence[ModelVersion]) -> Path:
    """Return a folder like the package of the first version in which the models of all lie, each by name and version.

    Raises VersionDamaged.
    """
    restored = [restore(store, each) for each in versions]
    name = blake3(" ".join(each.id for each in versions).encode()).hexdigest(length=16)
    folder = store.folder / "packages" / _TOGETHER / name
    if folder.exists():
        return folder
    with claims.scratch_folder(store) as scratch:
        made = scratch / "together"
        made.mkdir()
        for path in restored[0].iterdir():
            if path.name != LINKS:
                (made / path.name).symlink_to(path.absolute())
        for package, version in zip(restored, versions, strict=True):
            place = model_folder(made, version)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to((package / MODEL_FOLDER).absolute(), target_is_directory=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _put_in_place(made, folder)
    return folder


def lay_out(store: Store, version: ModelVersion, folder: Path) -> None:
    """Write the package of `version` to a new folder, every byte verified. Raises VersionDamaged."""
    for each in version.files:
        _write(store, version, each, folder / each.path)
    for path in _empty_folders(folder):
        (folder / path).mkdir(parents=True, exist_ok=True)
    models = folder / LINKS / version.model
    models.mkdir(parents=True)
    (models / str(version.version)).symlink_to(Path("../..") / MODEL_FOLDER, target_is_directory=True)


def download(store: Store, version: ModelVersion, folder: Path) -> None:
    """Write the model's files to a new or empty folder as they were registered: all, verified, or none of them.

    Raises FolderTaken and VersionDamaged.
    """
    folder = folder.absolute()
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise FolderTaken(folder=folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        lay_out(store, version, unfinished)
        if folder.exists():
            folder.rmdir()
        (unfinished / MODEL_FOLDER).rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def verify(store: Store, version: ModelVersion) -> list[Fault]:
    """Read every byte of a version again, in the store and where it was restored, and return what is another."""
    places = {each.path: store.blobs.path(each.digest) for each in version.files}
    packed = {} if all(path.is_file() for path in places.values()) else store.blobs.packed()
    found = []
    for each in version.files:
        place = places[each.path]
        if each.digest in packed and not place.is_file():
            from blake3 import blake3

            digest = blake3(packed[each.digest].read()).hexdigest()
        else:
            digest = digest_of(place) if place.is_file() else ""
        if digest != each.digest:
            found.append(Fault(each.path, str(place), each.digest, digest))
    folder = package_folder(store, version)
    if (folder / MANIFEST).is_file():
        here = {each.path: folder / each.path for each in version.files}
        found += _faults_in(folder, version, {name: digest_of(path) for name, path in here.items() if path.is_file()})
    return found


def package_folder(store: Store, version: ModelVersion) -> Path:
    """Return where the package of `version` is restored to."""
    return packages_folder(store, version.model) / str(version.version)


def packages_folder(store: Store, model: str) -> Path:
    """Return where the packages of all versions of `model` are restored to."""
    return store.folder / "packages" / model


def model_folder(package: Path, version: ModelVersion) -> Path:
    """Return what `AZUREML_MODEL_DIR` is to be for this version."""
    return package / LINKS / version.model / str(version.version)


def scoring_script(package: Path) -> Path | None:
    """Return the scoring script of a package; None when it has none."""
    named = _manifest(package).get("scoring_script", _SCORING_SCRIPT)
    return package / str(named) if named else None


def model_files(version: ModelVersion) -> list[PackageFile]:
    """Return the files of the model itself, without what belongs to serving it."""
    return [each for each in version.files if each.path.startswith(f"{MODEL_FOLDER}/")]


def has_script(version: ModelVersion) -> bool:
    """Whether a version has a scoring script; what lies in its model's folder is none."""
    return any(each.path.endswith(".py") and not each.path.startswith(f"{MODEL_FOLDER}/") for each in version.files)


def lacks(version: ModelVersion) -> list[str]:
    """Return what a version would need besides what it has, to be served."""
    if is_served_by_itself(version):
        return [] if version.environment_digest else ["an environment"]
    paths = {each.path for each in version.files}
    missing = {
        "a scoring script": not has_script(version),
        "a sample request": SAMPLE not in paths,
        "an environment": version.environment_digest is None,
    }
    found = [name for name, is_missing in missing.items() if is_missing]
    return found or ([] if EXPECTED in paths else ["an answer to its sample"])


def is_served_by_itself(version: ModelVersion) -> bool:
    """Return whether a version has no scoring script and needs none."""
    return version.framework.lower() in SERVED_BY_ITSELF and not has_script(version)


def check_servable(version: ModelVersion) -> None:
    """Raise VersionIncomplete when a version lacks what serving it takes."""
    missing = lacks(version)
    if missing:
        together = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        script = f"--framework {version.framework}" if is_served_by_itself(version) else "--score score.py"
        sample = "" if is_served_by_itself(version) else " --sample sample.json"
        raise VersionIncomplete(
            version=version.reference,
            reason=f"cannot be served: it was registered without {together}",
            next=(
                f"wright model register FILES --name {version.model} --parent {version.reference} "
                f"{script}{sample} --environment NAME:VERSION"
            ),
        )


def _write(store: Store, version: ModelVersion, file: PackageFile, target: Path) -> None:
    try:
        store.blobs.export(file.digest, target, is_executable=file.is_executable)
    except BlobDamaged as error:
        found = error.facts["found"]
        told = "gone" if found == "gone" else f'now of digest "{found}"'
        raise VersionDamaged(version=version.reference, file=file.path, found=told, expected=file.digest) from error


def _digests_in(store: Store, folder: Path, version: ModelVersion) -> dict[str, str]:
    places = {each.path: folder / each.path for each in version.files}
    here = {path: name for name, path in places.items() if path.is_file() and not path.is_symlink()}
    return {here[path]: digest for path, digest in digests.digests(store, list(here)).items()}


def _faults_in(folder: Path, version: ModelVersion, found: Mapping[str, str]) -> list[Fault]:
    """Return the files of a restored package that are not what was registered, given the digests of those there."""
    return [
        Fault(each.path, str(folder / each.path), each.digest, found.get(each.path, ""))
        for each in version.files
        if found.get(each.path) != each.digest
    ]


def _has_folders(folder: Path) -> bool:
    return all((folder / each).is_dir() for each in _empty_folders(folder))


def _empty_folders(package: Path) -> list[str]:
    """Return the folders of a package that hold no file, so that nothing but its manifest tells of them."""
    named = _manifest(package).get("empty_folders", [])
    return [str(each) for each in named] if isinstance(named, list) else []


def _manifest(package: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((package / MANIFEST).read_text(encoding="utf-8"))
    return found


def _put_in_place(made: Path, folder: Path) -> None:
    """Move a finished package to its place; what another process put there meanwhile is as good."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.exists():
            raise
