"""Published pipelines."""

from dataclasses import dataclass, field
from datetime import datetime

from modelwright.records.models import PackageFile


@dataclass(frozen=True)
class PipelineVersion:
    """A project's code, parameters and lock, frozen under a name and a number.

    `parameters` are what a run uses unless it is told otherwise. `parent_id` is the version that the project was
    cloned from. A version may run when both it and its pipeline are enabled.
    """

    id: str
    pipeline: str
    version: int
    description: str
    project: str
    code_digest: str
    parameters: dict[str, object]
    environment_digest: str
    parent_id: str | None
    is_enabled: bool
    is_pipeline_enabled: bool
    created_at: datetime
    files: tuple[PackageFile, ...] = field(default=())

    @property
    def reference(self) -> str:
        """The version as users write it, for example `diabetes:1`."""
        return f"{self.pipeline}:{self.version}"

    @property
    def may_run(self) -> bool:
        """Whether neither it nor its pipeline is disabled."""
        return self.is_enabled and self.is_pipeline_enabled
