"""Files that no row names: finds them, says why, deletes them, and proves that all others are as they were."""

import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from modelwright.records import Collection, Garbage
from modelwright.store import references
from modelwright.store.blobs import Exclusive
from modelwright.store.changes import Change
from modelwright.store.database import Store

_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_DELETIONS = (
    "SELECT at, actor, subject, why, before FROM audit_records WHERE action LIKE '%.deleted' ORDER BY sequence DESC"
)
_UNNAMED = "no row names it, nor did what was deleted: an upload that never finished, or what another took the place of"


class Deletion(NamedTuple):
    """Something that was deleted, from its audit record; `before` is JSON."""

    at: datetime
    actor: str
    subject: str
    why: str
    before: str

    def __str__(self) -> str:
        """Return it as the reason why nothing names a blob any more."""
        reason = f', because "{self.why}"' if self.why else ""
        return f"named last by {self.subject}, which {self.actor} deleted at {self.at:%Y-%m-%d %H:%M:%S}{reason}"


def deletions(store: Store) -> Iterator[Deletion]:
    """Give what was deleted, the last first."""
    with store.reader.connect() as connection:
        for at, *rest in connection.exec_driver_sql(_DELETIONS):
            yield Deletion(datetime.fromisoformat(at), *rest)


def collect(store: Store, alone: Exclusive, *, is_dry: bool) -> Collection:
    """Delete the blobs that no row names, or only find them when `is_dry`, and compare what is left with the rows."""
    with store.reader.connect() as connection:
        named = references.blob_digests(connection)
    sizes = store.blobs.sizes()
    doomed = sizes.keys() - named
    reasons = _reasons(store, doomed)
    garbage = tuple(Garbage(each, sizes[each], reasons.get(each, _UNNAMED)) for each in sorted(doomed))
    kept = [] if is_dry else alone.discard(doomed)
    present = named & sizes.keys()
    still_present = present if is_dry else present & store.blobs.digests()
    return Collection(
        is_dry=is_dry,
        garbage=garbage,
        folders=(),
        named=len(named),
        present=len(present),
        still_present=len(still_present),
        missing=tuple(sorted(named - present)),
        lost=tuple(sorted(present - still_present)),
        kept=tuple(kept),
    )


def record(change: Change, collection: Collection) -> None:
    """Record that files were deleted which nothing referred to; their own records say what they were."""
    after = {"blobs": len(collection.garbage), "size_bytes": collection.size_bytes, "folders": list(collection.folders)}
    change.record("garbage.collected", "blobs", after=after)


def _reasons(store: Store, doomed: AbstractSet[str]) -> dict[str, str]:
    """Return which deletion took the last name from each of these blobs, where one did."""
    found: dict[str, str] = {}
    if doomed:
        for deletion in deletions(store):
            for digest in doomed & set(_DIGEST.findall(deletion.before)):
                found.setdefault(digest, str(deletion))
            if len(found) == len(doomed):
                break
    return found
