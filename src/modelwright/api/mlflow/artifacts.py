"""Files of runs and logged models, through the server: streamed in and out, whatever their size."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from modelwright.api.mlflow.answers import answer
from modelwright.api.mlflow.operations import explaining, session
from modelwright.errors import BlobDamaged, ValueRefused
from modelwright.lifecycle import kept
from modelwright.lifecycle.sessions import Session
from modelwright.records import Artifact
from modelwright.store import client_files, models
from modelwright.store.client_files import Owner
from modelwright.store.database import Store
from modelwright.store.incoming import Incoming

_PIECE_BYTES = 1 << 20
_LONGEST_PATH = 1024


def routes() -> list[Route]:
    """Return the routes, below `/mlflow-artifacts`."""
    return [
        Route("/artifacts", explaining(_list), methods=["GET"]),
        Route("/artifacts/{path:path}", explaining(_put), methods=["PUT"]),
        Route("/artifacts/{path:path}", explaining(_get), methods=["GET", "HEAD"]),
        Route("/artifacts/{path:path}", explaining(_delete), methods=["DELETE"]),
    ]


async def _list(request: Request) -> Response:
    return await run_in_threadpool(_listed, request)


def _listed(request: Request) -> Response:
    store = session(request).store
    found = client_files.list_folder(store, *_place(store, request.query_params.get("path", "")))
    files: list[dict[str, Any]] = [
        {"path": each.name, "is_dir": True}
        if each.size_bytes is None
        else {"path": each.name, "is_dir": False, "file_size": each.size_bytes}
        for each in found
    ]
    return answer({"files": files})


async def _put(request: Request) -> Response:
    acting = session(request)
    owner, path = _file_place(acting.store, request)
    pieces = _pieces(request)
    with contextlib.ExitStack() as stack:
        # The first piece is the only one of most files.
        first = await anext(pieces, b"")
        incoming = await run_in_threadpool(_begun, acting.store, owner, first, stack)
        async for piece in pieces:
            await run_in_threadpool(incoming.write, piece)
        await run_in_threadpool(_kept, acting, owner, path, incoming)
    return answer({})


def _begun(store: Store, owner: Owner, first: bytes, stack: contextlib.ExitStack) -> Incoming:
    with store.reader.connect() as connection:
        client_files.ensure_open(connection, owner)
    stack.enter_context(store.blobs.batch())
    incoming = Incoming(store.blobs.folder)
    stack.callback(incoming.discard)
    incoming.write(first)
    return incoming


def _kept(acting: Session, owner: Owner, path: str, incoming: Incoming) -> None:
    file = Artifact(path, incoming.finish(), incoming.size_bytes)
    with acting.change() as opened:
        client_files.keep_file(opened, owner, file)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """Give the body in pieces of some size, so that writing one is worth the way to another thread."""
    gathered = bytearray()
    async for chunk in request.stream():
        gathered += chunk
        if len(gathered) >= _PIECE_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


async def _get(request: Request) -> Response:
    return await run_in_threadpool(_sent, request)


def _sent(request: Request) -> Response:
    store = session(request).store
    file = client_files.find_file(store, *_file_place(store, request))
    headers = {"etag": f'"{file.digest}"', "x-content-type-options": "nosniff"}
    place = store.blobs.path(file.digest)
    if place.exists():
        name = PurePosixPath(file.path).name
        return FileResponse(place, headers=headers, filename=name, media_type="application/octet-stream")
    packed = store.blobs.packed().get(file.digest)
    if packed is None:
        raise BlobDamaged(digest=file.digest, found="gone")
    return Response(packed.read(), headers=headers, media_type="application/octet-stream")


async def _delete(request: Request) -> Response:
    return await run_in_threadpool(_deleted, request)


def _deleted(request: Request) -> Response:
    acting = session(request)
    owner, path = _file_place(acting.store, request)
    with acting.change() as opened:
        client_files.delete_files(opened, owner, path)
    return answer({})


def _file_place(store: Store, request: Request) -> tuple[Owner, str]:
    owner, path = _place(store, request.path_params["path"])
    if not path:
        raise ValueRefused(name="path", rule="it names a file below a run's or a logged model's artifacts")
    return owner, path


def _place(store: Store, path: str) -> tuple[Owner, str]:
    """Return whose file a path leads to and where it lies there.

    The paths are those that runs and logged models are told of: EXPERIMENT/RUN/artifacts/… and
    EXPERIMENT/models/MODEL/artifacts/…; and of versions versions/MODEL/NUMBER/artifacts/…
    """
    parts = path.rstrip("/").split("/")
    if "\0" in path or "\\" in path or len(path) > _LONGEST_PATH or any(part in {"", ".", ".."} for part in parts):
        raise ValueRefused(name="path", rule="it is relative, and no part of it is empty, . or ..")
    match parts:
        case [str(first), model, number, "artifacts", *rest] if first == kept.VERSIONS:
            version = models.find_version(store, f"{model}:{number}")
            return Owner(version.id, is_model=False, is_version=True), "/".join([kept.root(version), *rest])
        case [_, "models", model_id, "artifacts", *rest]:
            return Owner(model_id, is_model=True), "/".join(rest)
        case [_, run_id, "artifacts", *rest]:
            return Owner(run_id, is_model=False), "/".join(rest)
        case _:
            rule = "it is EXPERIMENT/RUN/artifacts/FILE, or EXPERIMENT/models/MODEL/artifacts/FILE"
            raise ValueRefused(name="path", rule=rule)
