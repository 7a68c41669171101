"""The project's code: which of its files count, and one digest for all of them."""

import shutil
from pathlib import Path

from modelwright.errors import ProjectInvalid
from modelwright.projects.manifest import PAGE_FILE
from modelwright.store.blobs import digest_of

# What a run or a tool writes is not the project's code.
_NOT_CODE = frozenset({"outputs", "__pycache__"})
_SIZE_LIMIT_BYTES = 300 * 1024 * 1024


def code_files(folder: Path) -> dict[str, Path]:
    """Return the project's own files by their path within `folder`, in order.

    Hidden files, outputs and the page of the conversion are left out.

    Raises ProjectInvalid when together they are larger than 300 MB: a snapshot is refused, never truncated.
    """
    found = {}
    size_bytes = 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        is_hidden = any(part in _NOT_CODE or part.startswith(".") for part in relative.parts)
        if is_hidden or relative.as_posix() == PAGE_FILE or not path.is_file():
            continue
        found[relative.as_posix()] = path
        size_bytes += path.stat().st_size
    if size_bytes > _SIZE_LIMIT_BYTES:
        raise ProjectInvalid(path=folder, reason=f"its files are {size_bytes:,} bytes, a run keeps at most 300 MB")
    return found


def code_digest(folder: Path) -> str:
    """Return one digest for the names and bytes of all the project's files."""
    from blake3 import blake3

    whole = blake3()
    for name, path in code_files(folder).items():
        whole.update(f"{name}\0{digest_of(path)}\0".encode())
    return whole.hexdigest()


def copy_code(folder: Path, target: Path) -> str:
    """Copy the project's code to `target`, so that it is fixed whatever the user edits next; return its digest."""
    for name, path in code_files(folder).items():
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)
    return code_digest(target)
