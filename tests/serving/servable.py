"""Model versions that can be served at once: a script, a sample, and an environment that has nothing in it."""

import json
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path

from modelwright import records
from modelwright.environments.inspection import inspect
from modelwright.environments.locking import read_lock
from modelwright.lifecycle.sessions import Session
from modelwright.models import packages
from modelwright.records import Lock, ModelVersion, PackageFile
from modelwright.store import environments, models
from modelwright.store.blobs import digest_of

# Answers with its number, so that an answer tells which version it is of.
SCRIPT = """
def init():
    pass

def run(data):
    return {number}
"""


def empty_lock() -> Lock:
    """Return the lock of an environment without packages, which is built in a moment."""
    here = inspect(Path(sys.executable))
    return read_lock("# nothing\n", python_version=here.python_version, platform=here.platform)


def add_version(session: Session, *, script: str = SCRIPT, number: int = 1, model: str = "churn") -> ModelVersion:
    """Register the next version of a model, which has this scoring script; `{number}` in it is filled in."""
    code = textwrap.dedent(script).replace("{number}", str(number))
    contents = {
        packages.SAMPLE: '{"data": [1]}',
        packages.EXPECTED: str(number),
        "score.py": code,
        f"{packages.MODEL_FOLDER}/model.txt": str(number),
    }
    return add_files(session, {path: text.encode() for path, text in contents.items()}, model=model)


def add_files(
    session: Session, contents: Mapping[str, bytes], *, model: str, framework: str = "unknown"
) -> ModelVersion:
    """Register the next version of a model, whose package has these files and a manifest."""
    lock = empty_lock()
    manifest = json.dumps({"id": records.new_id("manifest"), "scoring_script": "score.py"}).encode()
    with tempfile.TemporaryDirectory() as name, session.store.blobs.batch() as batch:
        files = []
        for path, content in {packages.MANIFEST: manifest, **contents}.items():
            place = Path(name, path)
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(content)
            files.append(PackageFile(path, batch.add(place), len(content)))
        version = ModelVersion(
            id=records.new_id("version"),
            model=model,
            version=0,
            digest=digest_of(Path(name, packages.MANIFEST)),
            framework=framework,
            signature={},
            run_id=None,
            proof_id=None,
            environment_digest=lock.digest,
            created_at=records.now(),
            files=tuple(files),
        )
        with session.change() as opened:
            environments.ensure_environment(opened, lock)
            return models.add_version(opened, version)
