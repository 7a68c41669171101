"""Registers versions: bytes first, then every row, the alias, the audit record and the event in one transaction."""

import re

from modelwright import records
from modelwright.errors import NameInvalid, RunNotRegistrable
from modelwright.models import packages
from modelwright.models.gates import CHAMPION
from modelwright.records import BuiltEnvironment, ModelVersion, Run, Status
from modelwright.store import models
from modelwright.store.changes import Changing
from modelwright.store.database import Store

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,254}")
NAME_RULE = "letters, digits, '-', '.' and '_', at most 255, the first a letter or digit"


def check_name(name: str, *, noun: str = "model", way: str = "with --name") -> str:
    """Return `name`, which must be a valid name of a model and its project.

    Raises NameInvalid, which calls it the name of a `noun` and tells the `way` to choose another.
    """
    if not _NAME.fullmatch(name):
        raise NameInvalid(name=name, noun=noun, rule=NAME_RULE, way=way)
    return name


def register_run(
    store: Store,
    run: Run,
    *,
    model: str,
    environment: BuiltEnvironment,
    proof_id: str | None,
    tags: dict[str, str],
    changing: Changing,
) -> ModelVersion:
    """Register what a succeeded run made as the next version of `model`, and let `champion` point at it.

    `changing` opens a transaction in somebody's name and for a reason. A run is registered once: asked again, this
    gives the version that it became. Raises RunNotRegistrable and NameInvalid.
    """
    check_name(model)
    if run.status is not Status.SUCCEEDED:
        raise RunNotRegistrable(run=run.id, reason=f"it is {run.status}, not succeeded", project=run.project)
    known = models.version_of_run(store, run.id)
    if known:
        return known
    with packages.packaged(store, run, environment=environment) as package:
        version = ModelVersion(
            id=records.new_id("version"),
            model=model,
            version=0,
            digest=package.digest,
            framework=package.framework,
            signature=package.signature,
            run_id=run.id,
            proof_id=proof_id,
            environment_digest=run.environment_digest,
            created_at=records.now(),
            files=package.files,
            metrics=run.metrics,
            tags=_tags(run) | tags,
        )
        with store.blobs.batch() as batch:
            for each in package.files:
                batch.add(package.folder / each.path)
            with changing() as opened:
                numbered = models.add_version(opened, version)
                models.move_alias(opened, numbered, alias=CHAMPION)
    return models.get_version(store, numbered.id)


def _tags(run: Run) -> dict[str, str]:
    tags = {"project": run.project, "code_digest": run.code_digest}
    for dataset in run.datasets:
        tags["dataset"] = dataset.reference
        tags["dataset_digest"] = dataset.digest
    if run.git:
        tags |= {"git_commit": run.git.commit, "git_is_dirty": str(run.git.is_dirty).lower()}
    return tags
