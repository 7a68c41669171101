"""Dataset versions, pinned by content."""

from collections.abc import Mapping
from pathlib import Path

from modelwright import records
from modelwright.records import DataKind, DatasetFile, DatasetVersion
from modelwright.store import datasets
from modelwright.store.changes import change
from modelwright.store.database import Store


def pin(store: Store, name: str, *, files: Mapping[str, Path], actor: str) -> DatasetVersion:
    """Return the version of dataset `name` that has exactly these files, by name and bytes; a new one when none has.

    The bytes are kept, so that the version can be read again whatever becomes of the files.
    """
    with store.blobs.batch() as batch:
        digests = batch.add_all(list(files.values()))
        kept = [
            DatasetFile(part, digest, path.stat().st_size)
            for (part, path), digest in zip(files.items(), digests, strict=True)
        ]
        with change(store, actor=actor) as opened:
            return datasets.ensure_dataset_version(opened, draft(name, kept, kind=DataKind.VALUES))


def draft(name: str, files: list[DatasetFile], *, kind: DataKind) -> DatasetVersion:
    """Return a version with these files as it would be registered, without a number yet."""
    ordered = tuple(sorted(files, key=lambda each: each.path))
    return DatasetVersion(
        id="",
        dataset=name,
        version=0,
        digest=content_digest({each.path: each.digest for each in ordered}),
        size_bytes=sum(each.size_bytes for each in ordered),
        created_at=records.now(),
        kind=kind,
        files=ordered,
    )


def content_digest(digests: Mapping[str, str]) -> str:
    """Return the digest of a version whose files have these digests, by path: what makes two versions the same."""
    from blake3 import blake3

    whole = blake3()
    for part, digest in sorted(digests.items()):
        whole.update(f"{part}\0{digest}\0".encode())
    return whole.hexdigest()
