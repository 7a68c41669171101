"""Whether everything in a workspace that points somewhere points to something that is there and whole."""

from collections import Counter
from collections.abc import Iterator

from modelwright.records import Storage
from modelwright.store import chain, models, references
from modelwright.store.database import Store

_NUMBERED = ("model.registered", "dataset.registered", "environment.registered", "pipeline.published")
_RECORDS = f"SELECT {', '.join(chain.Written._fields)}, digest FROM audit_records ORDER BY sequence"
_WITHOUT_CODE = (
    "SELECT id FROM runs WHERE code_digest IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM code_files WHERE code_files.code_digest = runs.code_digest)"
)
_WITHOUT_FILES = (
    "SELECT id FROM model_versions WHERE NOT EXISTS (SELECT 1 FROM version_files WHERE version_id = model_versions.id)",
    f"SELECT id FROM dataset_versions WHERE storage != '{Storage.REFERENCE}' AND NOT EXISTS "  # noqa: ISC004
    "(SELECT 1 FROM dataset_files WHERE version_id = dataset_versions.id)",
    "SELECT id FROM datasets WHERE NOT EXISTS (SELECT 1 FROM dataset_versions WHERE dataset_id = datasets.id)",
    "SELECT name FROM pipelines WHERE NOT EXISTS (SELECT 1 FROM pipeline_versions WHERE pipeline = pipelines.name)",
)


def dangling(store: Store) -> Iterator[str]:
    """Give everything that points to nothing, or to something that is not what it was."""
    with store.reader.connect() as connection:
        execute = connection.exec_driver_sql
        for row in execute("PRAGMA foreign_key_check").all():
            yield f"foreign key {row}"
        for query in (_WITHOUT_CODE, *_WITHOUT_FILES):
            for row in execute(query).all():
                yield f"{row}: {query}"
        named = references.blob_digests(connection)
        aliases = execute("SELECT model || '@' || alias, version_id FROM aliases").all()
        records = execute(_RECORDS).all()
        numbered = Counter(row[4] for row in records if row[3] in _NUMBERED)
    yield from _damaged(store, named)
    for alias, version_id in aliases:
        if models.find_version(store, alias).id != version_id:
            yield f"alias {alias}"
    previous = chain.FIRST
    for row in records:
        previous = chain.digest_after(previous, chain.Written(*row[:-1]))
        if previous != row[-1]:
            yield f"audit record {row[0]}"
    yield from (f"{subject} was given {count} times" for subject, count in numbered.items() if count > 1)


def _damaged(store: Store, named: set[str]) -> Iterator[str]:
    from blake3 import blake3

    packed = store.blobs.packed()
    for digest in named:
        path = store.blobs.path(digest)
        if path.exists():
            content = path.read_bytes()
        elif digest in packed:
            content = packed[digest].read()
        else:
            yield f"blob {digest} is gone"
            continue
        if blake3(content).hexdigest() != digest:
            yield f"blob {digest} is damaged"
