"""A version with its lineage as one file: a zip archive of a manifest and of blobs that are named by their content.

Nothing in it is compressed, so that it is never larger unpacked, and every time in it is the same, so that one version
gives one file. Reading believes nothing: only these names, only plain files, every size and digest, every path.
"""

import json
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from modelwright.errors import ExportInvalid, ExportTooNew
from modelwright.records import Artifact, Conversion, DatasetLink, DatasetVersion, Lock, ModelVersion, Proof, Run
from modelwright.records.decoding import NotThisRecord, decoded

FORMAT = "modelwright-export"
FORMAT_VERSION = 1

_MANIFEST = "manifest.json"
_BLOBS = "blobs/"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[a-z]+_[0-9A-Z]{26}")
_WHEEL = re.compile(r"[A-Za-z0-9_.+!-]+\.whl")
_DATE = (1980, 1, 1, 0, 0, 0)  # the oldest that a zip file can say
_CHUNK_BYTES = 1 << 20
_MOST_MANIFEST_BYTES = 256 << 20
_LONGEST_PATH = 1024


@dataclass(frozen=True)
class Wheel:
    """A wheel that no index has, which a lock names by its SHA-256; `digest` is that of its blob."""

    name: str
    sha256: str
    digest: str


@dataclass(frozen=True)
class Bundle:
    """What an export holds: the version, and everything that says where it came from.

    `code` are the files of the run's code where these are no artifacts of it; `read` says in which role the run read
    which dataset version. The datasets in `kept` are there with their bytes, others only with their digests. The
    `conversion` is the one that wrote the code.
    """

    version: ModelVersion
    parent: str | None
    run: Run | None
    project_folder: str
    code: tuple[Artifact, ...]
    locks: tuple[Lock, ...]
    wheels: tuple[Wheel, ...]
    proof: Proof | None
    datasets: tuple[DatasetVersion, ...]
    read: tuple[DatasetLink, ...]
    kept: tuple[str, ...]
    conversion: Conversion | None = None

    def files(self) -> list[tuple[str, str]]:
        """Return path and digest of every file whose bytes belong to it, wheels left out."""
        artifacts = (*(self.run.artifacts if self.run else ()), *self.code)
        data = (file for each in self.datasets if each.reference in self.kept for file in each.files)
        return [
            *((each.path, each.digest) for each in self.version.files),
            *((each.path, each.digest) for each in artifacts),
            *((each.path, each.digest) for each in data),
        ]

    def blobs(self) -> set[str]:
        """Return the digests of all bytes that belong to it."""
        return {digest for _, digest in self.files()} | {each.digest for each in self.wheels}


def write(bundle: Bundle, path: Path, *, blob: Callable[[str, Path], Path], scratch: Path) -> None:
    """Write an export to `path`. `blob` writes the verified bytes of a digest into a folder and says where."""
    with zipfile.ZipFile(path, "x", zipfile.ZIP_STORED, allowZip64=True) as archive:
        sizes = {}
        for digest in sorted(bundle.blobs()):
            file = blob(digest, scratch)
            sizes[digest] = file.stat().st_size
            with file.open("rb") as source, archive.open(_entry(f"{_BLOBS}{digest}", sizes[digest]), "w") as target:
                while chunk := source.read(_CHUNK_BYTES):
                    target.write(chunk)
            file.unlink()
        told = {"format": FORMAT, "format_version": FORMAT_VERSION, "blobs": sizes, "bundle": asdict(bundle)}
        text = json.dumps(told, default=_text).encode()
        with archive.open(_entry(_MANIFEST, len(text)), "w") as target:
            target.write(text)


def read(path: Path, folder: Path) -> Bundle:
    """Return what an export holds, with its blobs, by digest, written to `folder`: all of it verified.

    Raises ExportInvalid and ExportTooNew.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, path)
            told = _manifest(archive, entries, path)
            bundle, sizes = _bundle(told, path)
            _check(bundle, path)
            if bundle.blobs() != sizes.keys() or {f"{_BLOBS}{each}" for each in sizes} != entries.keys() - {_MANIFEST}:
                raise ExportInvalid(path=path, reason="the files in it are not those that its manifest names")
            for digest, size in sizes.items():
                _extract(archive, entries[f"{_BLOBS}{digest}"], folder / digest, size=size, path=path)
            return bundle
    except (zipfile.BadZipFile, EOFError, ValueError, KeyError, struct.error, RuntimeError) as error:
        raise ExportInvalid(path=path, reason=f"it is no whole zip archive: {error}") from error
    except OSError as error:
        raise ExportInvalid(path=path, reason=error.strerror or str(error)) from error


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.file_size = size
    return entry


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the archive's entries by name, when all of them are what an export is made of."""
    found: dict[str, zipfile.ZipInfo] = {}
    for each in archive.infolist():
        is_ours = each.filename == _MANIFEST or (
            each.filename.startswith(_BLOBS) and _DIGEST.fullmatch(each.filename.removeprefix(_BLOBS))
        )
        kind = stat.S_IFMT(each.external_attr >> 16)
        if not is_ours or each.filename in found or kind not in {0, stat.S_IFREG}:
            raise ExportInvalid(path=path, reason=f'"{each.filename}" does not belong into it')
        if each.compress_type != zipfile.ZIP_STORED or each.file_size != each.compress_size or each.flag_bits & 1:
            raise ExportInvalid(path=path, reason=f'"{each.filename}" is compressed or encrypted')
        found[each.filename] = each
    # Entries that lie over one another would together be larger than the file.
    if sum(each.file_size for each in found.values()) > path.stat().st_size:
        raise ExportInvalid(path=path, reason="it says to hold more bytes than it has")
    return found


def _manifest(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], path: Path) -> dict[str, object]:
    if _MANIFEST not in entries or entries[_MANIFEST].file_size > _MOST_MANIFEST_BYTES:
        raise ExportInvalid(path=path, reason=f"it has no {_MANIFEST}, or one that is too large")
    try:
        told = json.loads(archive.read(entries[_MANIFEST]))
    except (ValueError, RecursionError) as error:
        raise ExportInvalid(path=path, reason=f"its {_MANIFEST} cannot be read: {error}") from error
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ExportInvalid(path=path, reason=f"it is no {FORMAT}")
    found = told.get("format_version")
    if type(found) is int and found > FORMAT_VERSION:
        raise ExportTooNew(path=path, found=found, known=FORMAT_VERSION)
    return told


def _bundle(told: Mapping[str, object], path: Path) -> tuple[Bundle, dict[str, int]]:
    try:
        sizes: dict[str, int] = decoded(dict[str, int], told.get("blobs"), place="blobs")
        return decoded(Bundle, told.get("bundle"), place=""), sizes
    except (NotThisRecord, RecursionError) as error:
        raise ExportInvalid(path=path, reason=f"its {_MANIFEST} cannot be understood: {error}") from error


def _check(bundle: Bundle, path: Path) -> None:
    """Raise ExportInvalid for a path, an id or a digest that no export of ours would have."""
    run, version = bundle.run, bundle.version
    _check_paths([each.path for each in version.files], path)
    _check_paths([each.path for each in (run.artifacts if run else ())], path)
    _check_paths([each.path for each in bundle.code], path)
    for dataset in bundle.datasets:
        _check_paths([each.path for each in dataset.files], path)
    data = {file.digest for each in bundle.datasets for file in each.files}
    digests = bundle.blobs() | data | {each.digest for each in bundle.datasets}
    digests |= {each.sha256 for each in bundle.wheels} | {each.digest for each in bundle.locks}
    ids = [version.id, *([run.id] if run else []), *([bundle.proof.id] if bundle.proof else [])]
    ids += [bundle.conversion.id] if bundle.conversion else []
    wrong = [each for each in digests if not _DIGEST.fullmatch(each)]
    wrong += [each for each in ids if not _ID.fullmatch(each)]
    wrong += [each.name for each in bundle.wheels if not _WHEEL.fullmatch(each.name)]
    if wrong:
        raise ExportInvalid(path=path, reason=f'"{wrong[0]}" is no digest, id or name of ours')


def _check_paths(names: Iterable[str], path: Path) -> None:
    known = set(names)
    for name in known:
        parts = name.split("/")
        is_plain = name.isprintable() and "\\" not in name and len(name.encode(errors="replace")) <= _LONGEST_PATH
        above = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if not is_plain or {"", ".", ".."} & set(parts) or above & known:
            raise ExportInvalid(path=path, reason=f'"{name}" is no path within a folder')


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, *, size: int, path: Path) -> None:
    from blake3 import blake3

    whole = blake3()
    if entry.file_size != size:
        raise ExportInvalid(path=path, reason=f'"{entry.filename}" has another size than its manifest says')
    with archive.open(entry) as source, target.open("xb") as copy:
        while chunk := source.read(_CHUNK_BYTES):
            whole.update(chunk)
            copy.write(chunk)
    if whole.hexdigest() != target.name:
        raise ExportInvalid(path=path, reason=f'"{entry.filename}" was changed: its digest is {whole.hexdigest()}')
