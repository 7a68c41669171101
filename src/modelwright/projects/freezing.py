"""Frozen code: a project's files as blobs, and the project folder that they become again."""

import os
from collections.abc import Iterable
from pathlib import Path

from modelwright.errors import ProjectInvalid
from modelwright.projects.code import code_digest, code_files
from modelwright.projects.manifest import Manifest, read_manifest
from modelwright.records import PackageFile
from modelwright.store.blobs import Batch, Blobs


def freeze(batch: Batch, folder: Path) -> tuple[PackageFile, ...]:
    """Add the project's code to the blobs and return its files."""
    return tuple(
        PackageFile(name, batch.add(path), path.stat().st_size, is_executable=os.access(path, os.X_OK))
        for name, path in code_files(folder).items()
    )


def restore(blobs: Blobs, files: Iterable[PackageFile], *, into: Path, digest: str) -> Manifest:
    """Write the files to the folder `into`, and return the manifest of the project that they are.

    Raises BlobDamaged, and ProjectInvalid when together they are not the code of that digest.
    """
    for each in files:
        blobs.export(each.digest, into / each.path, is_executable=each.is_executable)
    found = code_digest(into)
    if found != digest:
        raise ProjectInvalid(path=into, reason=f"the code on record is {found[:12]} where {digest[:12]} was frozen")
    return read_manifest(into)
