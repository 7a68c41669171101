"""What was found of a version's arrays when it was registered, as its package tells.

Apart from `fusing`, because an endpoint's front loads arrays and opens no database.
"""

import json
from pathlib import Path

from modelwright.models.fusing.fusing import VERDICT
from modelwright.records import FusedVerdict, ModelVersion
from modelwright.store import claims
from modelwright.store.database import Store


def verdict_of(store: Store, version: ModelVersion) -> FusedVerdict | None:
    """Return what was found at registration; None for a version that was not tried then."""
    digest = next((each.digest for each in version.files if each.path == VERDICT), None)
    if digest is None:
        return None
    with claims.scratch_folder(store) as folder:
        store.blobs.export(digest, folder / VERDICT)
        return read_verdict(folder / VERDICT)


def read_verdict(path: Path) -> FusedVerdict:
    """Return the verdict in a file."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return FusedVerdict(**{name: told[name] for name in FusedVerdict.__dataclass_fields__})


def is_fused(package: Path) -> bool:
    """Whether a package says that its model is its arrays."""
    try:
        return read_verdict(package / VERDICT).is_fused
    except (OSError, ValueError, KeyError, TypeError):  # a version from elsewhere may hold anything
        return False
