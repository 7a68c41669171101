"""Truthful reuse: when the recorded outputs of a step are what it would give now.

Two things must hold. The **key** covers what is known before a step runs: the code that it reaches, its arguments, the
bytes of its inputs, the lock of its environment, the variables that it declares. The **evidence** is what its recorded
execution was seen to depend on besides: the files that it opened, the folders that it listed, and where the random
draws of the whole process stood, if it drew. An execution that used the network, or read a file that it or another
changed meanwhile, is never reused.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelwright.errors import FileNotReadable
from modelwright.records import StepRun
from modelwright.runs.pipelines import Step
from modelwright.store.blobs import Blobs, digest_of

_FORMAT = 1
_ABSENT = "absent"


@dataclass(frozen=True)
class Places:
    """How a run's own folders are called in evidence, so that it holds for the folders of another run."""

    roots: Mapping[str, Path]

    def name(self, path: Path) -> str:
        """Return the name of a path: `code:data/a.csv` in the folder of that name, the path itself elsewhere."""
        for root, folder in self.roots.items():
            # A process knows its folder by its real path, whatever links lead there.
            for place in (folder, folder.resolve()):
                if path.is_relative_to(place):
                    return f"{root}:{path.relative_to(place).as_posix()}"
        return str(path)

    def path(self, name: str) -> Path:
        """Return the path of such a name."""
        root, separator, rest = name.partition(":")
        return self.roots[root] / rest if separator and root in self.roots else Path(name)


@dataclass(frozen=True)
class Evidence:
    """What an execution of a step was seen to do; kept with it as JSON.

    `read` maps the names of files and folders to their digests, `datasets` references to those of the versions that
    they meant; `drew_from` and `left_random` are the random states before and after, None when it drew nothing.
    `numbers` are its outputs that are numbers by name, `files` what it wrote to the output folder, and `told` the blob
    of what it recorded while it ran, which names the blobs `kept`.
    """

    read: dict[str, str] = field(default_factory=dict)
    datasets: dict[str, str] = field(default_factory=dict)
    has_connected: bool = False
    is_unstable: bool = False
    drew_from: str | None = None
    left_random: str | None = None
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    told: str | None = None
    kept: list[str] = field(default_factory=list)

    @property
    def blobs(self) -> set[str]:
        """The digests of the blobs that it refers to."""
        return {*self.files.values(), *self.kept, *(each for each in (self.left_random, self.told) if each)}

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {**vars(self), "blobs": sorted(self.blobs)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Evidence":
        """Return the evidence that `to_json` gave."""
        return cls(**{name: value for name, value in content.items() if name != "blobs"})


def key(
    step: Step,
    *,
    code: str,
    inputs: Mapping[str, str],
    parameters: Mapping[str, object],
    environment: str,
    variables: Mapping[str, str | None],
) -> str:
    """Return the key of a step: `code` is the digest of what it reaches, `inputs` the digests of its values by name.

    `environment` is the digest of its lock. A parameter counts by its value, so one that the step does not take never
    changes its key.
    """
    from blake3 import blake3

    arguments = [
        [each.keyword, "value", inputs[each.name]]
        if each.name is not None and each.name in inputs
        else [each.keyword, "literal", parameters[each.name] if each.name else each.value]
        for each in step.arguments
    ]
    content = {
        "format": _FORMAT,
        "function": f"{step.module}.{step.function}",
        "code": code,
        "arguments": arguments,
        "outputs": [list(step.outputs), step.is_unpacked],
        "environment": environment,
        "variables": dict(variables),
    }
    return blake3(json.dumps(content, sort_keys=True, default=repr).encode()).hexdigest()


def holds(
    step: StepRun,
    evidence: Evidence,
    *,
    places: Places,
    blobs: Blobs,
    digest: Callable[[Path], str] | None = None,
    dataset: Callable[[str], str] = lambda _: _ABSENT,
) -> bool:
    """Whether the recorded outputs of a step are there, and all that it read is as it was.

    `digest` gives that of a file; with it the bytes of the outputs are looked at as well. `dataset` gives the digest of
    the version that a reference means now.
    """
    if evidence.has_connected or evidence.is_unstable:
        return False
    for each in {*step.outputs.values(), *evidence.blobs}:
        path = blobs.path(each)
        if not path.exists() or (digest is not None and digest(path) != each):
            return False
    return all(dataset(each) == then for each, then in evidence.datasets.items()) and all(
        content_digest(places.path(each), digest or digest_of) == then for each, then in evidence.read.items()
    )


def seen(
    facts: Mapping[str, Any],
    *,
    places: Places,
    ignored: tuple[Path, ...],
    digest: Callable[[Path], str] = digest_of,
) -> Evidence:
    """Return the evidence of what a step's process reported; files below `ignored` are the run's own affair."""
    read: dict[str, str] = {}
    is_unstable = False
    for text, stamp in facts["read"].items():
        path = Path(text)
        if any(path.is_relative_to(each) for each in ignored):
            continue
        # What was not there when the step looked may be there by now, made by the step itself.
        read[places.name(path)] = _ABSENT if stamp is None else content_digest(path, digest)
        is_unstable |= stamp is not None and _has_changed(path, stamp, is_written=text in facts["written"])
    return Evidence(read=read, has_connected=facts["has_connected"], is_unstable=is_unstable, numbers=facts["numbers"])


def content_digest(path: Path, digest: Callable[[Path], str] = digest_of) -> str:
    """Return the digest of a file's bytes, of the names in a folder, or a word for nothing there."""
    try:
        if path.is_dir():
            from blake3 import blake3

            names = sorted(each for each in os.listdir(path) if each != "__pycache__")  # noqa: PTH208 - names, not paths
            return "folder " + blake3("\0".join(names).encode()).hexdigest()
        return digest(path) if path.stat().st_size else "empty"
    except (OSError, FileNotReadable):
        return _ABSENT


def _has_changed(path: Path, stamp: list[int], *, is_written: bool) -> bool:
    """Whether what a step found is no longer there to be compared with: it changed the file itself, or another did."""
    if is_written or not path.exists():
        return True
    found = path.stat()
    return path.is_file() and stamp != [found.st_size, found.st_mtime_ns]
