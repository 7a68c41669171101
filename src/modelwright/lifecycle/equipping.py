"""Gives a version that came without an environment the one that its own files ask for, when it is first needed.

MLflow's clients put a list of packages beside a model, and register it many times for each time that one is served.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

from modelwright.environments import registration
from modelwright.lifecycle.kept import root
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.records import ModelVersion
from modelwright.store import claims, models

_ASKED = "requirements.txt"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
# What loads the model by its framework has no use for MLflow, which is larger than all the rest.
_NOT_SERVED = frozenset({"mlflow", "mlflow-skinny"})
# MLflow names both, by the module that both have; only one of them can be there.
_SAME = {"xgboost": "xgboost-cpu"}


def equipped(session: Session, version: ModelVersion) -> ModelVersion:
    """Return the version with an environment: its own, or one that is locked now from what its files ask for.

    It stays as it is when its files ask for nothing, or are not served by themselves. Raises what locking raises.
    """
    asked = f"{root(version)}/{_ASKED}"
    file = next((each for each in version.files if each.path == asked), None)
    if version.environment_digest or file is None or not packages.is_served_by_itself(version):
        return version
    with session.stage("environment", f"what {version.reference} asks for") as stage:
        with claims.scratch_folder(session.store) as folder:
            given, wanted = folder / "given.txt", folder / _ASKED
            session.store.blobs.export(file.digest, given)
            wanted.write_text("\n".join(_served(given)), encoding="utf-8")
            added = registration.add(session.store, _named(version), wanted, changing=session.change)
        with session.change() as opened:
            models.equip_version(opened, version, added.version.digest)
        stage.decided = f"{added.version.reference}, locked from {_ASKED} beside the model"
    return models.get_version(session.store, version.id)


def _served(path: Path) -> Iterator[str]:
    """Give the lines of what serving the model takes."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    names = {_name(line) for line in lines}
    for line in lines:
        name = _name(line)
        if name not in _NOT_SERVED and _SAME.get(name) not in names:
            yield line


def _name(line: str) -> str:
    found = _NAME.match(line)
    return canonicalize_name(found[0]) if found else ""


def _named(version: ModelVersion) -> str:
    return f"{version.model}-serving"
