"""The environment that ONNX versions are served in when they are given none: one for all of them, built once."""

from pathlib import Path

from modelwright.environments import registration
from modelwright.errors import ModelwrightError
from modelwright.lifecycle.sessions import Session
from modelwright.models.sources import Source
from modelwright.records import Lock
from modelwright.store import claims, environments

NAME = "onnxruntime"
FRAMEWORK = "onnx"
_WANTED = "onnxruntime\nnumpy\n"


def is_onnx(source: Source, framework: str) -> bool:
    """Whether files are an ONNX model: they are said to be one, or one file's name says so and nothing else does."""
    if framework:
        return framework.lower() == FRAMEWORK
    return len(source.files) == 1 and all(name.endswith(".onnx") for name in source.files)


def shared_environment(session: Session) -> Lock | None:
    """Return the lock of the environment that all ONNX versions share, chosen now unless it was before.

    None when it cannot be had, which the stage tells: the version is registered all the same.
    """
    with session.stage("environment", f'"{NAME}", which ONNX models share') as stage:
        try:
            with claims.scratch_folder(session.store) as folder:
                file = Path(folder, "requirements.txt")
                file.write_text(_WANTED, encoding="utf-8")
                added = registration.add(session.store, NAME, file, changing=session.change)
        except ModelwrightError as error:
            stage.decided = f"none: {error}"
            return None
        stage.decided = added.version.reference
        return environments.get_environment(session.store, added.version.digest)
