"""What schemathesis is told of this workspace: names of what is there, for about every other request.

It runs in the environment of schemathesis, and imports nothing of ours.
"""

import io
import json
import os
import random
import tarfile
from typing import Any

import schemathesis

NAMES: dict[str, list[object]] = json.loads(os.environ["WRIGHT_NAMES"])
CHOICE = random.Random(7)


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Put names of what is there in the place of some that are made up."""
    for name in path_parameters or {}:
        if name in NAMES and CHOICE.random() < 0.6:
            path_parameters[name] = CHOICE.choice(NAMES[name])
    return path_parameters


@schemathesis.serializer("application/x-tar")
def pack(context: Any, value: Any) -> bytes:
    """Return what was made up as the one file of an archive, or now and then as it is, which is none."""
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    if CHOICE.random() < 0.3:
        return data
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as opened:
        member = tarfile.TarInfo(
            CHOICE.choice(["rows.csv", "deep/model.pkl", "wright.toml", "../up", "/etc/passwd", "ü"])
        )
        member.size = len(data)
        opened.addfile(member, io.BytesIO(data))
    return archive.getvalue()
