"""`/datasets`: add, find, show, label, verify, profile, download, delete."""

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import FileResponse

from modelwright.api.acting import Acting, Reading, needs
from modelwright.api.asking import FILE, TAR, Files, Number, Scratch, Tags, assigned, download, filters, one_of
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.told import Gone, Verified, verified
from modelwright.datasets import adding
from modelwright.datasets import reading as contents
from modelwright.lifecycle import deletion, labelling
from modelwright.records import Dataset, DatasetUser, DatasetVersion, Role
from modelwright.store import datasets

router = Router("/datasets")
_contributor = [needs(Role.CONTRIBUTOR)]


@router.get("")
def list_datasets(
    reading: Reading,
    page: Paged,
    tags: Tags = [],  # noqa: B006 - FastAPI copies it
    search: Annotated[str, Query(max_length=1000, description="Only those whose name holds this.")] = "",
) -> list[Dataset]:
    """List the datasets by name, each with its versions."""
    return page.cut(datasets.list_datasets(reading, text=search, tags=filters(tags)), lambda each: each.name)


@router.get("/{name}")
def show_dataset(name: str, reading: Reading) -> Dataset:
    """Show a dataset with its versions, oldest first, without their files."""
    return datasets.get_dataset(reading, name)


@router.delete("/{name}", dependencies=_contributor)
def delete_dataset(name: str, acting: Acting) -> Gone:
    """Delete all versions of a dataset, if nothing uses any; 409 lists what uses them."""
    return Gone([each.reference for each in deletion.delete_dataset(acting, name)])


@router.patch("/{name}/tags", dependencies=_contributor)
def change_dataset_tags(name: str, tags: dict[str, str | None], acting: Acting) -> Dataset:
    """Set tags of a dataset, and remove those that are null."""
    added = {tag: value for tag, value in tags.items() if value is not None}
    return labelling.tag_dataset(acting, name, added=added, removed=list(tags.keys() - added.keys()))


@router.post("/{name}/uploads", status_code=201, dependencies=_contributor, openapi_extra=TAR)
def upload_dataset(
    name: str,
    files: Files,
    acting: Acting,
    tags: Tags = [],  # noqa: B006 - FastAPI copies it
    *,
    timestamp: Annotated[str | None, Query(description="The column that says when a row was.")] = None,
    description: str | None = None,
) -> DatasetVersion:
    """Register the files of an archive as the next version; exactly the content of an earlier one is that again."""
    labels = adding.Labels(description, assigned(tags, "tag"), timestamp, acting.why)
    return adding.add_files(acting.store, name, path=files, actor=acting.actor, labels=labels, told={"kind": "upload"})


@router.get("/{name}/versions/{version}")
def show_dataset_version(name: str, version: Number, reading: Reading) -> DatasetVersion:
    """Show a version: its files, size, digest, and what it was made from."""
    return datasets.find_dataset_version(reading, f"{name}:{version}")


@router.delete("/{name}/versions/{version}", dependencies=_contributor)
def delete_dataset_version(name: str, version: Number, acting: Acting) -> Gone:
    """Delete a version that nothing uses; 409 lists what uses it."""
    return Gone([each.reference for each in deletion.delete_dataset(acting, f"{name}:{version}")])


@router.get("/{name}/versions/{version}/users")
def list_dataset_users(name: str, version: Number, reading: Reading) -> list[DatasetUser]:
    """List which runs, models and deployments used a version."""
    return datasets.list_users(reading, datasets.find_dataset_version(reading, f"{name}:{version}"))


@router.get("/{name}/versions/{version}/verification")
def verify_dataset(name: str, version: Number, reading: Reading) -> Verified:
    """Read every byte of a version again, and list what is not as it was registered."""
    found = datasets.find_dataset_version(reading, f"{name}:{version}")
    return verified(found.reference, found.files, contents.check(reading, found, is_thorough=True))


@router.post("/{name}/versions/{version}/profile", dependencies=_contributor)
def profile_dataset(
    name: str,
    version: Number,
    acting: Acting,
    again: Annotated[bool, Query(description="Compute it anew, though it is kept.")] = False,  # noqa: FBT002 - FastAPI's way
) -> dict[str, Any]:
    """Return statistics of every column of a version; they are computed once and kept."""
    from modelwright.datasets import profiling  # which brings numpy, and nothing else here does

    found = profiling.profile_version(
        acting.store, f"{name}:{version}", actor=acting.actor, why=acting.why, is_anew=again
    )
    return found.summary()


@router.get("/{name}/versions/{version}/files/{path:path}", responses=FILE)
def download_dataset_file(name: str, version: Number, path: str, reading: Reading, scratch: Scratch) -> FileResponse:
    """Download a file of a version, every byte verified."""
    found = datasets.find_dataset_version(reading, f"{name}:{version}")
    contents.export_file(reading, found, one_of(found.files, path, thing=found.reference), scratch / "file")
    return download(scratch / "file", name=path)
