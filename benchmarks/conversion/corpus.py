"""The corpus: which notebooks there are and where; it lies outside the repository."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A notebook of the corpus with the folder that holds all it reads."""

    slug: str
    folder: Path
    notebook: Path
    python: Path
    is_labelled: bool
    is_reproducible: bool
    libraries: tuple[str, ...]


def index_path(given: str | None) -> Path:
    """Return the path of the index: the one given, else that of the variable MODELWRIGHT_CORPUS."""
    path = given or os.environ.get("MODELWRIGHT_CORPUS")
    if not path:
        message = "say where the corpus is: --corpus INDEX.json, or the variable MODELWRIGHT_CORPUS"
        raise SystemExit(message)
    return Path(path).absolute()


def read(index: Path, only: list[str] | None = None) -> list[Entry]:
    """Return the notebooks of the corpus, or those whose slug contains one of `only`."""
    content = json.loads(index.read_text(encoding="utf-8"))
    entries = [_entry(index.parent, row) for row in content]
    return [each for each in entries if not only or any(part in each.slug for part in only)]


def _entry(root: Path, row: dict[str, Any]) -> Entry:
    folder = root / Path(row["folder"])
    python = Path(row.get("interpreter") or root / row.get("python", "venv") / "bin" / "python")
    return Entry(
        slug=folder.name,
        folder=folder,
        notebook=folder / Path(row["notebook"]),
        python=root / python,
        is_labelled=bool(row.get("label")),
        is_reproducible=bool(row.get("reproduces_itself", True)),
        libraries=tuple(row.get("libraries", ())),
    )
