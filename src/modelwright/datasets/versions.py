"""Dataset versions, pinned by content."""

from collections.abc import Mapping
from pathlib import Path

from modelwright.records import DatasetVersion
from modelwright.store import datasets
from modelwright.store.blobs import digest_of
from modelwright.store.changes import change
from modelwright.store.database import Store


def pin(store: Store, name: str, *, files: Mapping[str, Path], actor: str) -> DatasetVersion:
    """Return the version of dataset `name` that has exactly these files, by name and bytes; a new one when none has."""
    from blake3 import blake3

    whole = blake3()
    for part, path in sorted(files.items()):
        whole.update(f"{part}\0{digest_of(path)}\0".encode())
    size_bytes = sum(path.stat().st_size for path in files.values())
    with store.blobs.batch() as batch:
        kept = {part: (batch.add(path), path.stat().st_size) for part, path in files.items()}
        with change(store, actor=actor) as opened:
            return datasets.ensure_dataset_version(
                opened, name, digest=whole.hexdigest(), size_bytes=size_bytes, files=kept
            )
