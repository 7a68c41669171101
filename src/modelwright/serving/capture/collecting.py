"""Where the model data collector of old scripts writes, its switch, and what it leaves out; neither takes a restart.

The folder is `<workspace>/modeldata/local/local/<name>/<endpoint>`: in the cloud the first two were a subscription and
a resource group. The collector itself is `models/guest/collector.py`.
"""

import json
import logging
from pathlib import Path

from modelwright.serving.capture.redaction import Redaction

_LOG = logging.getLogger(__name__)
FOLDER = "modeldata"
VARIABLE = "MODELWRIGHT_MODEL_DATA"
_SWITCH, _REDACTION = ".collecting", ".redaction"
_NO_CLOUD = "local"


def folder_of(capture_folder: Path) -> Path:
    """Return the folder of the endpoint whose capture folder is given."""
    workspace = capture_folder.parent.parent
    name = workspace.parent.name if workspace.name.startswith(".") else workspace.name
    return workspace / FOLDER / _NO_CLOUD / _NO_CLOUD / (name or "default") / capture_folder.name


def tell(capture_folder: Path, redaction: Redaction | None) -> None:
    """Have the endpoint's scripts leave out of what they collect what is left out of requests; in a second they do.

    Raises OSError: what may not be kept must not be collected.
    """
    path = folder_of(capture_folder) / _REDACTION
    if redaction is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"hashed": redaction.hashed, "left_out": redaction.left_out, "salt": redaction.salt.hex()}
    begun = path.with_name(f"{_REDACTION}.begun")
    begun.touch(mode=0o600)
    begun.write_text(json.dumps(told))
    begun.replace(path)


def switch(capture_folder: Path, *, is_on: bool) -> None:
    """Have the endpoint's scripts collect, or no longer; they look within a second."""
    path = folder_of(capture_folder) / _SWITCH
    try:
        if is_on:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        # As all that has to do with the collector, it must not keep an endpoint from answering.
        _LOG.error("the model data collector cannot be switched: %s", error)
