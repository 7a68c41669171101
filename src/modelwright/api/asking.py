"""What many routes ask for: numbers of versions, labels, files."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query, Request
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import AfterValidator, BaseModel, ConfigDict

from modelwright.errors import FileMissing, ParcelInvalid, RequestInvalid, RequestTooLarge
from modelwright.lifecycle import parcels
from modelwright.records import Artifact, DatasetFile, PackageFile
from modelwright.store import claims
from modelwright.store.database import Store

_LARGEST = 2**63 - 1  # that the database can hold
_File = TypeVar("_File", Artifact, DatasetFile, PackageFile)


def _in_utc(given: datetime) -> datetime:
    """Return a time in UTC; one without a zone is in UTC."""
    try:
        return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except OverflowError:
        rule = "in UTC it is no time of the years 1 to 9999"
        raise ValueError(rule) from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]
Number = Annotated[int, InPath(ge=1, le=_LARGEST, description="The version's number.")]
Tags = Annotated[list[str], Query(alias="tag", description="NAME=VALUE, or NAME for any value; all, if repeated.")]
TAR = {
    "requestBody": {
        "required": True,
        "description": "A tar archive of the files, not compressed.",
        "content": {"application/x-tar": {"schema": {"type": "string", "format": "binary"}}},
    }
}
REQUEST = {
    "requestBody": {
        "required": True,
        "description": "What the scoring script takes.",
        "content": {
            "application/json": {"schema": {}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
LABELS = {
    "requestBody": {
        "required": True,
        "description": "CSV, JSON lines or Parquet, as `kind` says.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file's bytes.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class Text(BaseModel):
    """A text that takes the place of another."""

    model_config = ConfigDict(extra="forbid")

    text: str


def filters(given: Sequence[str]) -> dict[str, str | None]:
    """Return what NAME=VALUE says; a NAME alone, which takes any value, as None."""
    parts = (each.partition("=") for each in given)
    return {name: value if separator else None for name, separator, value in parts}


def assigned(given: Sequence[str], place: str) -> dict[str, str]:
    """Return what NAME=VALUE says. Raises RequestInvalid for what is none."""
    found = filters(given)
    wrong = next((name for name, value in found.items() if value is None or not name), None)
    if wrong is not None:
        raise RequestInvalid(place=place, rule=f'"{wrong}" is not NAME=VALUE')
    return {name: str(value) for name, value in found.items()}


def one_of(files: Iterable[_File], path: str, *, thing: str) -> _File:
    """Return the one of the files of a thing that has this path. Raises FileMissing."""
    found = next((each for each in files if each.path == path), None)
    if found is None:
        raise FileMissing(path=path, thing=thing)
    return found


def _scratch(request: Request) -> Iterator[Path]:
    with claims.scratch_folder(request.app.state.store) as folder:
        request.state.scratch = folder  # which no refusal is to tell of
        yield folder


async def receive(request: Request, place: Path) -> None:
    """Write the request's body to a new file as it comes in. Raises RequestTooLarge."""
    size_bytes = 0
    with place.open("xb") as file:
        async for piece in request.stream():
            size_bytes += len(piece)
            if size_bytes > parcels.LARGEST_BYTES:
                raise RequestTooLarge(limit=parcels.LARGEST_BYTES)
            await run_in_threadpool(file.write, piece)


async def _received(request: Request, folder: Annotated[Path, Depends(_scratch)]) -> Path:
    await receive(request, folder / "body")
    return folder / "body"


def _unpacked(body: Annotated[Path, Depends(_received)]) -> Path:
    folder = body.with_name("files")
    folder.mkdir()
    with body.open("rb") as parcel:
        names = parcels.unpack(parcel, folder)
    if not names:
        raise ParcelInvalid(reason="there are none")
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:  # no database could keep it
        raise ParcelInvalid(reason="the name of a file is no UTF-8") from error
    return folder


# A folder for the time of the request; the body of the request as a file; the files of the archive that it is.
Scratch = Annotated[Path, Depends(_scratch)]
Body = Annotated[Path, Depends(_received)]
Files = Annotated[Path, Depends(_unpacked)]


def blob(store: Store, digest: str, *, name: str, scratch: Path) -> FileResponse:
    """Return a file of the store as an answer, every byte verified. Raises BlobDamaged."""
    store.blobs.export(digest, scratch / "file")
    return download(scratch / "file", name=name)


def download(file: Path, *, name: str) -> FileResponse:
    """Return a file as an answer that no browser takes for a page of ours, whatever is in it."""
    return FileResponse(file, media_type="application/octet-stream", filename=Path(name).name)
