"""Writes registered models, versions and aliases as they were found, and counts them as they are read back."""

import re
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from modelwright.errors import ModelFolderInvalid, ModelMissing, ModelwrightError
from modelwright.lifecycle import kept
from modelwright.lifecycle.importing_mlflow.found import FoundModel, FoundVersion
from modelwright.lifecycle.importing_mlflow.tracked import Brought, added
from modelwright.models import registry
from modelwright.models.packages import MODEL_FOLDER
from modelwright.models.registry import Found, Labels, Made
from modelwright.records import Artifact, Model, ModelVersion, PackageFile, VersionFilter
from modelwright.store import client_imports, models, named_models, naming
from modelwright.store.database import Store
from modelwright.store.named_models import NO_STAGE, STAGE_TAG

ORIGIN = "origin.mlflow"
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9\-._]+")


def bring_model(brought: Brought, found: FoundModel) -> None:
    """Bring a registered model with its versions and aliases."""
    tally = brought.tally
    if found.tags.get(named_models.PROMPT_TAG) == "true":
        tally.left_out["prompts"] = tally.left_out.get("prompts", 0) + 1
        return
    name = _FORBIDDEN.sub("-", found.name).lstrip("-._")[:255] or "model"
    if name != found.name:
        tally.notes.append(f'registered model "{found.name}" is "{name}" here: names have no other signs')
    source, name = name, naming.reference_now(brought.store, name)
    if name != source:
        tally.notes.append(f'model "{source}" is called "{name}" here since it was renamed')
    wanted: dict[str, Sequence[Hashable]] = {
        "registered models": [name],
        "registered model tags": list(found.tags.items()),
    }
    before = _model_here(brought.store, name)
    if not brought.is_dry:
        _keep_model(brought, found, name)
    numbers = {each.number: _bring_version(brought, each, name=name, source=source) for each in found.versions}
    if not brought.is_dry:
        _keep_aliases(brought, found, name, numbers=numbers)
        if not before:
            with brought.session.change() as opened:
                client_imports.date_model(opened, name, created_at=found.created_at, updated_at=found.updated_at)
    wanted["aliases"] = [(alias, numbers.get(number, number)) for alias, number in found.aliases.items()]
    brought.count(name, wanted, before, None if brought.is_dry else _model_here(brought.store, name))


def _keep_model(brought: Brought, found: FoundModel, name: str) -> None:
    model = _find(brought.store, name)
    with brought.session.change() as opened:
        if model is None:
            named_models.add_model(opened, name, description=found.description, tags=found.tags)
            return
        for key, value in found.tags.items():
            if key not in model.tags:
                named_models.set_model_tag(opened, model, key, value=value)


def _keep_aliases(brought: Brought, found: FoundModel, name: str, *, numbers: dict[int, int | None]) -> None:
    model = named_models.find_model(brought.store, name)
    for alias, number in found.aliases.items():
        here = numbers.get(number)
        if here is None or alias in model.aliases:
            continue
        version = models.find_version(brought.store, f"{name}:{here}")
        with brought.session.change() as opened:
            models.move_alias(opened, version, alias=alias)


def _bring_version(brought: Brought, found: FoundVersion, *, name: str, source: str) -> int | None:
    """Bring a version of a model that is called `source` there; return its number here, None without its files."""
    origin = f"{source}/{found.number} of {found.created_at.isoformat()}"
    known = _known(brought.store, name, origin)
    tags = dict(found.tags) | ({} if found.stage in {"", NO_STAGE} else {STAGE_TAG: found.stage})
    version = known
    if known is None and not brought.is_dry:
        try:
            version = _register(brought, replace(found, tags=tags), name=name, origin=origin)
        except ModelwrightError as error:
            brought.tally.lack("versions", f"{name}/{found.number}", str(error))
            return None
        if version is None:
            brought.tally.lack("versions", f"{name}/{found.number}", f'there are no files at "{found.artifact_uri}"')
            return None
        if version.version != found.number:
            brought.tally.notes.append(f"version {found.number} of {name} is {version.version} here: it was taken")
    wanted: dict[str, Sequence[Hashable]] = {"versions": [found.number], "version tags": list(tags.items())}
    here = _version_here(version, found) if version else {}
    brought.count(
        f"{name}/{found.number}", wanted, _version_here(known, found) if known else {}, None if brought.is_dry else here
    )
    return version.version if version else None


def _register(brought: Brought, found: FoundVersion, *, name: str, origin: str) -> ModelVersion | None:
    store = brought.store
    with ExitStack() as stack:
        held = _logged(store, found.uri)
        if held is None:
            files = stack.enter_context(brought.source.files(found.artifact_uri, found.run_id))
            batch = stack.enter_context(store.blobs.batch())
            held = kept.Held(added(store, batch, files))
            for path, why in files.missing.items():
                if path:
                    brought.tally.lack("versions", f"{name}/{found.number}/{path}", why)
        if not held.files:
            return None
        told = {
            "kind": "mlflow",
            "uri": found.uri,
            "run": found.run_id,
            "run_link": found.run_link,
            "logged_model": held.model_id,
        }
        said = _said(brought, held.files)
        return registry.register_kept(
            store,
            [PackageFile(f"{MODEL_FOLDER}/{each.path}", each.digest, each.size_bytes) for each in held.files],
            model=name,
            found=replace(said, properties=dict(said.properties) | {ORIGIN: origin}),
            labels=Labels(
                tags=found.tags,
                description=found.description,
                made=Made(found.number, found.created_at, found.updated_at, found.user),
            ),
            told={key: value for key, value in told.items() if value},
            run=kept.known_run(store, found.run_id),
            changing=brought.session.change,
        )


def _said(brought: Brought, files: Sequence[Artifact]) -> Found:
    try:
        return kept.found_in(brought.store, files)
    except ModelFolderInvalid as error:
        brought.tally.notes.append(f"{error}; its files are kept as they are")
        return Found()


def _logged(store: Store, uri: str) -> kept.Held | None:
    """Return the files of the logged model or run that a version was made of, where it came with the rest."""
    if not uri.startswith(("models:/m-", "runs:/")):
        return None
    try:
        held = kept.find(store, uri)
    except ModelwrightError:
        return None
    return held if held.files else None


def _known(store: Store, name: str, origin: str) -> ModelVersion | None:
    found = models.list_versions(store, VersionFilter(model=name, properties={ORIGIN: origin}), limit=1)
    return found[0] if found else None


def _find(store: Store, name: str) -> Model | None:
    try:
        return named_models.find_model(store, name)
    except ModelMissing:
        return None


def _model_here(store: Store, name: str) -> dict[str, Any]:
    model = _find(store, name)
    if model is None:
        return {}
    return {
        "registered models": [name],
        "registered model tags": list(model.tags.items()),
        "aliases": list(model.aliases.items()),
    }


def _version_here(version: ModelVersion, found: FoundVersion) -> dict[str, Any]:
    return {"versions": [found.number], "version tags": list(version.tags.items())}
