"""Wheels remade from installed files, for when the index that they came from cannot be reached.

An installed distribution is its wheel unpacked, with a RECORD of every file; so it can be packed again. The bytes are
the same each time: sorted names, one date, nothing compressed. A wheel lies in a folder named by its own hash, so that
two different ones of the same name never replace each other. Source of the format: packaging.python.org, "Binary
distribution format".
"""

import csv
import hashlib
import io
import os
import re
import tempfile
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from configparser import ConfigParser
from email.parser import Parser
from itertools import product
from pathlib import Path

from packaging.utils import canonicalize_name

from modelwright.environments.inspection import Distribution, Inspection
from modelwright.errors import DistributionEditable, DistributionNotPacked

_DATE = (1980, 1, 1, 0, 0, 0)  # the oldest that a zip file can say
# What an installer writes about its own work; the next installer writes them anew.
_INSTALLERS_OWN = frozenset(
    {
        "INSTALLER",
        "REQUESTED",
        "RECORD",
        "RECORD.jws",
        "RECORD.p7s",
        "direct_url.json",
        "uv_cache.json",
        "uv_build.json",
    }
)
_CHUNK_BYTES = 1 << 20


def remake(distribution: Distribution, folder: Path, *, inspection: Inspection) -> tuple[Path, str]:
    """Pack the installed files of `distribution` into a wheel below `folder`; return its path and its SHA-256.

    Raises DistributionEditable for a link to a source folder, and DistributionNotPacked when files are missing, there
    is no RECORD to go by, or the files work only where they lie.
    """
    if distribution.is_editable:
        raise DistributionEditable(distribution=distribution.name, folder=distribution.url.removeprefix("file://"))
    if not distribution.info_folder:
        raise _not_packed(distribution, "it was installed without a RECORD of its files")
    information = distribution.root / distribution.info_folder
    tags = _tags(distribution, information)
    if distribution.installer == "conda" and "none-any" not in tags:
        raise _not_packed(distribution, "conda linked its binaries to libraries outside of it")
    name = f"{_escaped(canonicalize_name(distribution.name))}-{_escaped(distribution.version)}-{tags}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".packing-", dir=folder) as temporary:
        packed = Path(temporary) / name
        _pack(distribution, packed, inspection=inspection)
        digest = sha256_of(packed)
        final = folder / digest / name
        final.parent.mkdir(exist_ok=True)
        packed.replace(final)
    return final, digest


def sha256_of(wheel: Path) -> str:
    """Return the SHA-256 of a wheel, by which locks and indexes name it."""
    with wheel.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _pack(distribution: Distribution, wheel: Path, *, inspection: Inspection) -> None:
    """Write the distribution's files and a new RECORD to `wheel`."""
    rows: list[tuple[str, str, str]] = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for inside, path in sorted(_members(distribution, inspection=inspection)):
            rows.append((inside, *_add(archive, inside, path)))
        record = f"{distribution.info_folder}/RECORD"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, (record, "", "")])
        archive.writestr(zipfile.ZipInfo(record, _DATE), text.getvalue())


def _add(archive: zipfile.ZipFile, inside: str, path: Path) -> tuple[str, str]:
    """Copy one file into the archive; return its hash and size as RECORD spells them."""
    member = zipfile.ZipInfo(inside, _DATE)
    is_program = os.access(path, os.X_OK) or ".data/scripts/" in inside
    member.external_attr = (0o100755 if is_program else 0o100644) << 16
    hashed, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as stream, archive.open(member, "w", force_zip64=True) as target:
        chunk = stream.read(_CHUNK_BYTES)
        if ".data/scripts/" in inside:
            chunk = _without_interpreter(chunk)
        while chunk:
            hashed.update(chunk)
            size_bytes += len(chunk)
            target.write(chunk)
            chunk = stream.read(_CHUNK_BYTES)
    return f"sha256={urlsafe_b64encode(hashed.digest()).rstrip(b'=').decode()}", str(size_bytes)


def _members(distribution: Distribution, *, inspection: Inspection) -> Iterator[tuple[str, Path]]:
    """Give each file that the wheel holds: its name there, and where it lies now."""
    root = distribution.root
    information = root / distribution.info_folder
    generated = _entry_points(information)
    with (information / "RECORD").open(newline="", encoding="utf-8") as stream:
        recorded = [row[0] for row in csv.reader(stream) if row]
    for relative in recorded:
        path = Path(os.path.normpath(root / relative))
        if path.suffix == ".pyc" or (path.parent == information and path.name in _INSTALLERS_OWN):
            continue
        if path.is_relative_to(root):
            inside = path.relative_to(root).as_posix()
        elif path.parent == inspection.folders["scripts"] and path.name in generated:
            continue  # the installer makes these from entry_points.txt
        else:
            inside = _outside(path, distribution, inspection=inspection)
        if not path.is_file():
            raise _not_packed(distribution, f'its file "{path}" is gone')
        yield inside, path


def _outside(path: Path, distribution: Distribution, *, inspection: Inspection) -> str:
    """Return the name in the wheel of a file that was installed outside of the distribution's own folder."""
    data = distribution.info_folder.removesuffix(".dist-info") + ".data"
    for scheme in ("purelib", "platlib", "scripts", "data"):
        folder = inspection.folders[scheme]
        if path.is_relative_to(folder):
            return f"{data}/{scheme}/{path.relative_to(folder).as_posix()}"
    raise _not_packed(distribution, f'its file "{path}" lies outside of the environment')


def _tags(distribution: Distribution, information: Path) -> str:
    """Return the part of a wheel's file name that says where it can be installed, such as `py3-none-any`."""
    try:
        wheel = Parser().parsestr((information / "WHEEL").read_text(encoding="utf-8"))
    except OSError as error:
        raise _not_packed(distribution, "it was not installed from a wheel") from error
    tags = [tag.split("-", 2) for tag in wheel.get_all("Tag", [])]
    if not tags:
        raise _not_packed(distribution, "its WHEEL file names no tags")
    parts = [sorted({tag[place] for tag in tags}) for place in range(3)]
    if len(list(product(*parts))) != len({tuple(tag) for tag in tags}):
        parts = [[part] for part in tags[0]]  # a name can only say products; the installed files fit its first tag
    build = wheel.get("Build")
    return "-".join([*([build] if build else []), *(".".join(part) for part in parts)])


def _entry_points(information: Path) -> set[str]:
    """Return the names of the commands that installers write for this distribution."""
    parser = ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(information / "entry_points.txt", encoding="utf-8")
    groups = [group for group in ("console_scripts", "gui_scripts") if parser.has_section(group)]
    return {name for group in groups for name in parser.options(group)}


def _without_interpreter(content: bytes) -> bytes:
    """Return a script with `#!python` for the path of the Python that it was installed for."""
    return re.sub(rb"\A#!.*python[^\n]*", b"#!python", content)


def _escaped(part: str) -> str:
    """Return a part of a wheel's file name with `_` where a `-` would be read as the next part's start."""
    return re.sub(r"[-_]+", "_", part)


def _not_packed(distribution: Distribution, reason: str) -> DistributionNotPacked:
    """Return the error that says why this distribution cannot be packed."""
    return DistributionNotPacked(distribution=distribution.name, reason=reason)
