"""`/captures`: what endpoints were asked and answered: see it, keep it, label it, delete it."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from modelwright import settings
from modelwright.api.acting import Acting, Reading, needs
from modelwright.api.asking import LABELS, Body, Moment
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.shapes import joined
from modelwright.api.waiting import Accepted, Patient
from modelwright.errors import RequestMissing
from modelwright.lifecycle import capturing
from modelwright.records import (
    CaptureCounts,
    Captured,
    CaptureMode,
    CaptureRecord,
    CaptureSettings,
    CaptureSummary,
    DatasetVersion,
    LabelCount,
    Role,
)
from modelwright.serving import configuring
from modelwright.serving.capture import exporting, keeping, labelling, places, retention
from modelwright.serving.capture import reading as records

router = Router("/captures")
_deployer = [needs(Role.DEPLOYER)]
_BY = r"request_id|header:.+|input:.+"

Reported = Annotated[
    dict[str, Any],
    joined("CaptureReport", CaptureSummary, settings=CaptureSettings | None, counts=CaptureCounts | None),
]


@dataclass(frozen=True)
class Expired:
    """The day before which all was deleted, and the names of what went."""

    before: str
    deleted: list[str]


@dataclass(frozen=True)
class Made:
    """The dataset version that was made of requests, its rows, and how many of them have labels."""

    version: DatasetVersion
    rows: int
    labelled: int


class NewDataset(BaseModel):
    """Of which requests a dataset's next version is to be made."""

    model_config = ConfigDict(extra="forbid")

    name: str
    since: Moment | None = None
    until: Moment | None = None
    version: str | None = Field(None, description="Only what this version answered.")


class Captures(BaseModel):
    """What is to change of how requests are captured; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    mode: CaptureMode | None = None
    rate: float | None = Field(None, ge=0, le=1)
    is_refusing: bool | None = None
    headers: list[str] | None = None
    hashed: list[str] | None = None
    left_out: list[str] | None = None
    keep_days: int | None = Field(None, ge=0, le=1_000_000, description="0 keeps them for ever.")
    is_collecting: bool | None = None


def _wanted(
    endpoint: str,
    since: Annotated[Moment | None, Query(description="Only what was received then or later.")] = None,
    until: Annotated[Moment | None, Query(description="Only what was received before.")] = None,
    version: Annotated[str | None, Query(description="Only what this version answered.")] = None,
) -> exporting.Wanted:
    return exporting.Wanted(endpoint, since, until, version)


Wanted = Annotated[exporting.Wanted, Depends(_wanted)]


@router.get("")
def list_captures(reading: Reading, page: Paged) -> list[Reported]:
    """List what is captured of every endpoint, how, and what could not be kept."""
    return [each.told() for each in page.cut(capturing.reports(reading), lambda each: each.summary.endpoint)]


@router.get("/{endpoint}")
def show_capture(endpoint: str, reading: Reading) -> Reported:
    """Show what is captured of an endpoint, how, and what could not be kept."""
    return capturing.report(reading, endpoint).told()


@router.get("/{endpoint}/requests")
def list_captured_requests(
    wanted: Wanted,
    reading: Reading,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many, the newest.")] = 50,
    failed: Annotated[bool, Query(description="Only what was not answered with success.")] = False,  # noqa: FBT002 - FastAPI's way
) -> list[CaptureRecord]:
    """List captured requests of an endpoint with their answers, oldest first; `until` goes back in time."""
    return exporting.newest(places.folder_of(reading, wanted.endpoint), wanted, limit=limit, is_failed=failed)


@router.get("/{endpoint}/requests/{request}")
def show_captured_request(endpoint: str, request: str, reading: Reading) -> list[Captured]:
    """Show a captured request, named by its id, with its answer, and those of shadows."""
    folder, longest = places.root(reading), settings.scoring_timeout_ms() / 1000
    places.folder_of(reading, endpoint)
    found = [each for each in records.find(folder, request, longest_seconds=longest) if each.endpoint == endpoint]
    if not found:
        raise RequestMissing(request=request, looked=f"all that was captured of {endpoint} was looked at")
    return found


@router.delete("/{endpoint}/requests", dependencies=_deployer)
def delete_captured_requests(
    endpoint: str,
    acting: Acting,
    before: Annotated[Moment, Query(description="The days before the day of this time are deleted.")],
) -> Expired:
    """Delete captured requests of an endpoint, whole days of them, on the record."""
    day = before.date()
    folder = places.folder_of(acting.store, endpoint)
    gone = retention.delete(acting.store, folder, before=day, actor=acting.actor, why=acting.why)
    return Expired(day.isoformat(), gone)


@router.post("/{endpoint}/datasets", status_code=201, dependencies=[needs(Role.CONTRIBUTOR)])
def make_dataset(endpoint: str, wanted: NewDataset, acting: Acting) -> Made:
    """Make answered requests the next version of a dataset: inputs, predictions and labels joined."""
    chosen = exporting.Wanted(endpoint, wanted.since, wanted.until, wanted.version)
    folder = places.folder_of(acting.store, endpoint)
    return Made(
        *exporting.make_dataset(acting.store, folder, wanted.name, wanted=chosen, actor=acting.actor, why=acting.why)
    )


@router.post("/{endpoint}/labels", dependencies=[needs(Role.CONTRIBUTOR)], openapi_extra=LABELS)
def add_labels(
    endpoint: str,
    body: Body,
    acting: Acting,
    id_column: Annotated[str | None, Query(alias="id", description="What says whose label it is.")] = None,
    label_column: Annotated[str, Query(alias="label", description="The label itself.")] = "label",
    by: Annotated[
        str, Query(pattern=f"^({_BY})$", description="request_id, header:NAME or input:FIELD.")
    ] = "request_id",
    kind: Annotated[Literal["csv", "jsonl", "parquet"], Query(description="What the body is.")] = "csv",
) -> LabelCount:
    """Keep the labels in the body for requests of an endpoint; the label found last counts."""
    file = body.rename(body.with_suffix(f".{kind}"))
    columns = labelling.Columns(id_column, label_column, by)
    folder = places.folder_of(acting.store, endpoint)
    return labelling.tell(acting.store, folder, file, columns=columns, actor=acting.actor, why=acting.why)


@router.post("/{endpoint}/compact", dependencies=_deployer)
def compact_capture(endpoint: str, acting: Acting, patient: Patient) -> keeping.Kept | Accepted:
    """Turn ended segments into Parquet, and delete what is older than it is kept."""
    return patient.wait(keeping.keep, acting.store, endpoint, actor=acting.actor, look=f"/captures/{endpoint}")


@router.get("/{endpoint}/settings")
def show_capture_settings(endpoint: str, reading: Reading) -> CaptureSettings:
    """Show how requests of an endpoint are captured."""
    return configuring.capture_of(reading, endpoint)


@router.patch("/{endpoint}/settings", dependencies=_deployer)
def change_capture_settings(endpoint: str, wanted: Captures, acting: Acting) -> CaptureSettings:
    """Change how requests of an endpoint are captured, while it serves."""
    said = wanted.model_dump(exclude_none=True)
    if wanted.keep_days is not None:
        said["keep_days"] = wanted.keep_days or None
    said |= {name: tuple(value) for name, value in said.items() if isinstance(value, list)}
    return configuring.set_capture(acting.store, endpoint, said, actor=acting.actor, why=acting.why)
