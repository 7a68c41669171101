"""`/models`: register, find, describe, label, alias, look back, verify, download, delete."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from modelwright.api.acting import Acting, Reading, needs
from modelwright.api.asking import (
    FILE,
    TAR,
    Body,
    Files,
    Number,
    Scratch,
    Tags,
    Text,
    assigned,
    blob,
    download,
    filters,
    one_of,
)
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.shapes import joined
from modelwright.api.told import AuditRecord, Deleted, Verified, audited, fields, verified
from modelwright.api.waiting import Accepted, Patient
from modelwright.lifecycle import deletion, explaining, labelling, registering
from modelwright.lifecycle.explaining import Wish
from modelwright.lifecycle.version_reports import describe_version
from modelwright.models import exporting, importing, packages
from modelwright.models.registry import Labels
from modelwright.records import (
    DatasetLink,
    Deployment,
    Explanation,
    FusedVerdict,
    GitState,
    Model,
    ModelVersion,
    Role,
    Verdict,
    VersionFilter,
)
from modelwright.store import datasets, models

router = Router("/models")
_contributor = [needs(Role.CONTRIBUTOR)]

VersionShown = Annotated[
    dict[str, Any],
    joined(
        "ModelVersionShown",
        ModelVersion,
        experiment=str | None,
        git=GitState | None,
        code_digest=str | None,
        run=dict[str, Any] | None,
        proof=dict[str, Any] | None,
        environments=list[str],
        data=list[dict[str, str]],
        parent=str | None,
        derived=list[str],
        lacks=list[str],
        fused=FusedVerdict | None,
        verdict=Verdict | None,
        deployments=list[Annotated[dict[str, Any], joined("DeploymentSeen", Deployment, is_healthy=bool)]],
    ),
]
Imported = Annotated[dict[str, Any], joined("ModelVersionImported", ModelVersion, is_new=bool)]


class Registration(BaseModel):
    """A run that is to become a version, and what is said of it."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(description="The run's id.")
    paths: list[str] = Field([], description="Only these of the files that it wrote.")
    tags: dict[str, str] = {}
    properties: dict[str, str] = {}
    description: str = ""
    framework: str = ""
    framework_version: str = ""
    datasets: dict[str, str] = Field({}, description="Versions of datasets that it is linked with, by their roles.")
    environment: str | None = None
    parent: str | None = Field(None, description="The version that it was derived from.")
    once_per: str | None = Field(None, description="A tag; a version that has it with the same value is not followed.")


class Asked(BaseModel):
    """What an explanation is to be of; by default the rows of the version's own run."""

    model_config = ConfigDict(extra="forbid")

    data: Annotated[str | None, Field(description="NAME:VERSION of a dataset.")] = None
    target: Annotated[str | None, Field(description="The column of the data that is predicted.")] = None
    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    is_fresh: bool = False


class Renaming(BaseModel):
    """What a model is to be called."""

    model_config = ConfigDict(extra="forbid")

    name: str


class Target(BaseModel):
    """The version that an alias is to point at."""

    model_config = ConfigDict(extra="forbid")

    version: int = Field(ge=1, le=2**63 - 1)


@router.get("")
def list_models(  # noqa: PLR0913 - one for each filter
    reading: Reading,
    page: Paged,
    tags: Tags = [],  # noqa: B006 - FastAPI copies it
    properties: Annotated[list[str], Query(alias="property", description="As `tag`, of properties.")] = [],  # noqa: B006
    *,
    name: str | None = None,
    framework: str | None = None,
    run: str | None = None,
    dataset: Annotated[str | None, Query(description="Only what is linked with it, or whose run read it.")] = None,
    latest: Annotated[bool, Query(description="Only the newest version of each model.")] = False,
) -> list[ModelVersion]:
    """List the versions of all models, newest first; those that answer to all that is asked."""
    wanted = VersionFilter(
        model=name,
        tags=filters(tags),
        properties=filters(properties),
        framework=framework,
        run_id=run,
        dataset_version_id=datasets.find_dataset_version(reading, dataset).id if dataset else None,
        is_latest=latest,
    )
    found = models.list_versions(reading, wanted, limit=page.limit + 1, after=page.after)
    return page.first(found, lambda each: each.reference)


@router.get("/{name}")
def show_newest_version(name: str, reading: Reading) -> VersionShown:
    """Show the newest version of a model with all that is known of it."""
    return describe_version(reading, name).told()


@router.put("/{name}/name", dependencies=_contributor)
def rename_model(name: str, wanted: Renaming, acting: Acting) -> Model:
    """Call a model otherwise from now on, with all its versions and aliases; 409 lists what serves it."""
    return labelling.rename_model(acting, name, wanted.name)


@router.get("/{name}/history")
def show_model_history(name: str, reading: Reading, page: Paged, alias: str | None = None) -> list[AuditRecord]:
    """List what happened to a model's versions and aliases, or to one alias, oldest first."""
    return page.cut([audited(each) for each in models.list_history(reading, name, alias=alias)], lambda each: each.key)


@router.post("/{name}/versions", status_code=201, dependencies=_contributor)
def register_version(name: str, wanted: Registration, acting: Acting, patient: Patient) -> ModelVersion | Accepted:
    """Register what a run made as the model's next version; answered when it was tried and is there."""
    labels = Labels(
        tags=wanted.tags,
        properties=wanted.properties,
        description=wanted.description,
        framework=wanted.framework,
        framework_version=wanted.framework_version,
        datasets=tuple(DatasetLink(*each) for each in wanted.datasets.items()),
        parent=wanted.parent,
        once_per=wanted.once_per,
    )
    order = registering.of_run(
        acting.store, wanted.run, model=name, paths=tuple(wanted.paths), environment=wanted.environment, labels=labels
    )
    return patient.wait(_registered, acting, order, look=f"/models?name={name}")


@router.post("/{name}/uploads", status_code=201, dependencies=_contributor, openapi_extra=TAR)
def upload_version(  # noqa: PLR0913 - one for each option
    name: str,
    files: Files,
    acting: Acting,
    tags: Tags = [],  # noqa: B006 - FastAPI copies it
    properties: Annotated[list[str], Query(alias="property", description="NAME=VALUE; repeatable.")] = [],  # noqa: B006
    linked: Annotated[list[str], Query(alias="dataset", description="ROLE=NAME:VERSION; repeatable.")] = [],  # noqa: B006
    *,
    path: Annotated[list[str], Query(description="Only this file or folder of the archive; repeatable.")] = [],  # noqa: B006
    score: Annotated[str | None, Query(description="The scoring script, by its name in the archive.")] = None,
    sample: Annotated[str | None, Query(description="A sample request, by its name in the archive.")] = None,
    environment: Annotated[str | None, Query(description="NAME:VERSION of what it is served and tried in.")] = None,
    companions: Annotated[
        list[str], Query(alias="companion", description="A further version that its script needs; repeatable.")
    ] = [],  # noqa: B006
    description: str = "",
    framework: str = "",
    framework_version: str = "",
    parent: str | None = None,
    once_per: str | None = None,
) -> ModelVersion:
    """Register the files of an archive as the model's next version.

    A scoring script and a sample in the archive belong to serving, and are not the model's own files.
    """
    labels = Labels(
        tags=assigned(tags, "tag"),
        properties=assigned(properties, "property"),
        description=description,
        framework=framework,
        framework_version=framework_version,
        datasets=tuple(DatasetLink(*each) for each in assigned(linked, "dataset").items()),
        parent=parent,
        once_per=once_per,
    )
    order = registering.of_upload(
        files, model=name, paths=tuple(path), score=score, sample=sample, environment=environment, labels=labels
    )
    return _registered(acting, replace(order, companions=tuple(companions)))


@router.post("/{name}/imports", dependencies=_contributor, openapi_extra=TAR)
def import_version(name: str, body: Body, acting: Acting) -> Imported:
    """Make the version in an export of another workspace the model's next one, with its lineage."""
    found = importing.import_version(acting.store, body, name=name, changing=acting.change)
    return fields(found.version) | {"is_new": found.is_new}


@router.get("/{name}/versions/{version}")
def show_version(name: str, version: Number, reading: Reading) -> VersionShown:
    """Show a version with all that is known of it: run, data, proof, gate, environment, deployments."""
    return describe_version(reading, f"{name}:{version}").told()


@router.delete("/{name}/versions/{version}", dependencies=_contributor)
def delete_version(name: str, version: Number, acting: Acting) -> Deleted:
    """Delete a version that nothing uses; 409 lists what uses it."""
    return Deleted(deletion.delete_model(acting, f"{name}:{version}").reference)


@router.patch("/{name}/versions/{version}/tags", dependencies=_contributor)
def change_version_tags(name: str, version: Number, tags: dict[str, str | None], acting: Acting) -> ModelVersion:
    """Set tags of a version, and remove those that are null."""
    added = {tag: value for tag, value in tags.items() if value is not None}
    return labelling.tag_version(acting, f"{name}:{version}", added=added, removed=list(tags.keys() - added.keys()))


@router.post("/{name}/versions/{version}/properties", dependencies=_contributor)
def add_version_properties(name: str, version: Number, properties: dict[str, str], acting: Acting) -> ModelVersion:
    """Add properties to a version; one that it has keeps its value."""
    return labelling.add_properties(acting, f"{name}:{version}", properties)


@router.put("/{name}/versions/{version}/description", dependencies=_contributor)
def describe(name: str, version: Number, wanted: Text, acting: Acting) -> ModelVersion:
    """Say what a version is, in place of what was said before."""
    return labelling.describe_version(acting, f"{name}:{version}", wanted.text)


@router.get("/{name}/versions/{version}/verification")
def verify_version(name: str, version: Number, reading: Reading) -> Verified:
    """Read every byte of a version again, and list what is not as it was registered."""
    found = models.find_version(reading, f"{name}:{version}")
    return verified(found.reference, found.files, packages.verify(reading, found))


@router.post("/{name}/versions/{version}/explanations", dependencies=_contributor)
def explain_version(
    name: str, version: Number, acting: Acting, patient: Patient, wanted: Asked | None = None
) -> Explanation | Accepted:
    """Say how much each column adds to what a version puts out; what was asked before is answered at once.

    Of the model as a whole, with the rows that its run trained and tested it on, or those of a dataset version.
    """
    wanted = wanted or Asked()
    data = datasets.find_dataset_version(acting.store, wanted.data).reference if wanted.data else None
    wish = Wish(None, data, wanted.target, wanted.seed, wanted.repeats, wanted.is_fresh)
    reference = f"{name}:{version}"
    return patient.wait(explaining.explain, acting, reference, wish, look=f"/models/{name}/versions/{version}")


@router.get("/{name}/versions/{version}/files/{path:path}", responses=FILE)
def download_version_file(name: str, version: Number, path: str, reading: Reading, scratch: Scratch) -> FileResponse:
    """Download a file of a version's package, named as the version's `files` name it, every byte verified."""
    found = models.find_version(reading, f"{name}:{version}")
    file = one_of(found.files, path, thing=found.reference)
    return blob(reading, file.digest, name=path, scratch=scratch)


@router.get("/{name}/versions/{version}/export", responses=FILE)
def export_version(
    name: str,
    version: Number,
    reading: Reading,
    scratch: Scratch,
    with_data: Annotated[bool, Query(description="With the bytes of its datasets too.")] = False,  # noqa: FBT002 - FastAPI's way
) -> FileResponse:
    """Download a version with its lineage as one file, for another workspace to import."""
    file = scratch / f"{name}-{version}.zip"
    exporting.export(reading, f"{name}:{version}", file, has_data=with_data)
    return download(file, name=file.name)


@router.get("/{name}/aliases/{alias}")
def show_alias(name: str, alias: str, reading: Reading) -> VersionShown:
    """Show the version that an alias points at, with all that is known of it."""
    return describe_version(reading, f"{name}@{alias}").told()


@router.put("/{name}/aliases/{alias}", dependencies=_contributor)
def move_alias(name: str, alias: str, wanted: Target, acting: Acting) -> ModelVersion:
    """Let an alias point at a version, from whichever it pointed at."""
    return labelling.move_alias(acting, f"{name}:{wanted.version}", alias=alias)


@router.delete("/{name}/aliases/{alias}", dependencies=_contributor)
def remove_alias(name: str, alias: str, acting: Acting) -> ModelVersion:
    """Take an alias away; the version that it pointed at stays, and is the answer."""
    return labelling.remove_alias(acting, name, alias=alias)


def _registered(acting: Acting, order: registering.Order) -> ModelVersion:
    return registering.register(acting, order).version
