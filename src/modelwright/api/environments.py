"""`/environments`: locks under names, what is in them, what makes two of them two."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi.responses import PlainTextResponse

from modelwright.api.acting import Acting, Reading, needs
from modelwright.api.asking import Number
from modelwright.api.paging import Paged
from modelwright.api.routing import Router
from modelwright.api.shapes import joined
from modelwright.environments import describing
from modelwright.environments.comparing import difference
from modelwright.environments.registration import environment_lock, lock_of
from modelwright.lifecycle import deletion
from modelwright.records import EnvironmentDifference, EnvironmentVersion, Lock, Role
from modelwright.store import environments

router = Router("/environments")

EnvironmentShown = Annotated[
    dict[str, Any], joined("EnvironmentShown", Lock, versions=list[EnvironmentVersion], users=list[str], is_built=bool)
]


@dataclass(frozen=True)
class Forgotten:
    """A name that is no more, and the digest of its lock."""

    deleted: str
    digest: str


@router.get("")
def list_environments(reading: Reading, page: Paged, name: str | None = None) -> list[EnvironmentVersion]:
    """List the versions of all environments, or of one, newest first."""
    return page.cut(environments.list_environment_versions(reading, name=name), lambda each: each.reference)


@router.get("/{reference}")
def show_environment(reference: str, reading: Reading) -> EnvironmentShown:
    """Show an environment: NAME:VERSION, NAME for the newest, or the beginning of its lock's digest."""
    return describing.describe(reading, reference).told()


@router.get("/{reference}/lock", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
def download_lock(reference: str, reading: Reading) -> PlainTextResponse:
    """Download an environment's lock: a requirements file with hashes."""
    return PlainTextResponse(environment_lock(reading, reference).text)


@router.get("/{reference}/diff/{other}")
def compare_environments(reference: str, other: str, reading: Reading) -> EnvironmentDifference:
    """Tell what the other has that the first has not; each an environment, a digest, a run, or a model version."""
    return difference(lock_of(reading, reference), lock_of(reading, other))


@router.delete("/{name}/versions/{version}", dependencies=[needs(Role.CONTRIBUTOR)])
def delete_environment(name: str, version: Number, acting: Acting) -> Forgotten:
    """Delete a name, and with its last name the lock, if nothing runs or ran in it; 409 lists what does."""
    reference = f"{name}:{version}"
    return Forgotten(reference, deletion.delete_environment(acting, reference).digest)
