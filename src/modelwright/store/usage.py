"""What uses what: the one rule by which something can be deleted or not.

Every foreign key of the schema is named here once. A row goes with the row that it is **part** of; a row **keeps** what
it points to otherwise; and some things no command deletes. A test finds a foreign key that is named nowhere.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from modelwright.records import Use
from modelwright.store import schema
from modelwright.store.loading import rows

# What a row is part of: it goes when that goes.
PARTS = (
    "dataset_tags.dataset_id",
    "dataset_files.version_id",
    "pipeline_files.version_id",
    "run_tags.run_id",
    "run_steps.run_id",
    "run_parameters.run_id",
    "run_metrics.run_id",
    "run_summaries.run_id",
    "run_artifacts.run_id",
    "run_datasets.run_id",
    "run_environments.run_id",
    "gate_verdicts.run_id",
    "schedule_ticks.run_id",
    "sweeps.run_id",
    "trials.sweep_id",
    "schedule_ticks.schedule",
    "version_files.version_id",
    "version_metrics.version_id",
    "version_tags.version_id",
    "version_properties.version_id",
    "version_datasets.version_id",
    "reproductions.version_id",
    "explanations.version_id",
    "deployments.endpoint_id",
    "deployment_models.deployment_id",
    "endpoint_keys.endpoint_id",
    "rollouts.endpoint_id",
    "deliveries.subscription",
    "subscription_positions.subscription",
    "run_inputs.run_id",
    "run_outputs.run_id",
    "run_outputs.logged_model_id",
    "logged_models.run_id",
    "logged_model_tags.logged_model_id",
    "logged_model_parameters.logged_model_id",
    "logged_model_metrics.logged_model_id",
    "logged_model_metrics.run_id",
    "logged_model_files.logged_model_id",
    "model_tags.model",
    "former_names.model",
)

# What no command deletes, and nothing has to keep.
FOREVER = ("projects", "proofs", "experiments")


class Keeper(NamedTuple):
    """A kind of thing that keeps what it points to; `find` gives for each its name, what for, and how to free it."""

    kind: str
    find: str


_MODEL = "model_versions.model || ':' || model_versions.version"
_PIPELINE = "pipeline || ':' || version"
# Where others serve beside it, undeploying it says itself what its share of the requests asks for.
_OTHERS = (
    "(SELECT COUNT(*) FROM deployments AS beside WHERE beside.endpoint_id = deployments.endpoint_id "
    "AND beside.status = 'healthy') > 1"
)
_CALLED = f"CASE deployments.name WHEN '' THEN {_MODEL} ELSE deployments.name END"
_SERVED = (
    f"CASE WHEN deployments.status = 'healthy' AND {_OTHERS} THEN '' "
    "WHEN deployments.status = 'healthy' "
    "THEN 'wright endpoint stop ' || endpoints.name || ', or deploy another version; then: ' "
    "WHEN deployments.status = 'starting' THEN 'wait until it has started; then: ' ELSE '' END "
    "|| 'wright endpoint undeploy ' || endpoints.name || ' ' || "
)
_DEPLOYED = (
    f"SELECT endpoints.name, {_MODEL} || ' is ' || deployments.status || ' there', {_SERVED}{_MODEL} "  # noqa: S608 - ours
    "FROM deployments JOIN endpoints ON endpoints.id = endpoint_id "
    "JOIN model_versions ON model_versions.id = version_id WHERE version_id = ? ORDER BY deployments.id"
)
_ACCOMPANYING = (
    f"SELECT endpoints.name, 'beside ' || {_MODEL} || ', which is ' || deployments.status || ' there', "  # noqa: S608 - ours
    f"{_SERVED}{_CALLED} FROM deployment_models JOIN deployments ON deployments.id = deployment_id "
    "JOIN endpoints ON endpoints.id = endpoint_id JOIN model_versions ON model_versions.id = deployments.version_id "
    "WHERE deployment_models.version_id = ? ORDER BY deployments.id"
)


def _of_models(link: str, detail: str) -> str:
    return f"SELECT {_MODEL}, {detail}, 'wright model delete ' || {_MODEL} FROM model_versions WHERE {link} = ?"  # noqa: S608 - ours


def _of_runs(link: str, detail: str) -> str:
    return f"SELECT id, {detail}, 'wright run delete ' || id FROM runs WHERE {link} = ? ORDER BY id"  # noqa: S608 - ours


def _of_pipelines(link: str, detail: str) -> str:
    return (
        f"SELECT {_PIPELINE}, {detail}, 'wright pipeline delete ' || {_PIPELINE} "  # noqa: S608 - ours
        f"FROM pipeline_versions WHERE {link} = ?"
    )


# What keeps what it points to.
KEEPERS = {
    "deployments.version_id": Keeper("deployment", _DEPLOYED),
    "deployment_models.version_id": Keeper("deployment", _ACCOMPANYING),
    "aliases.version_id": Keeper(
        "alias",
        "SELECT model || '@' || alias, 'it points there', 'wright model unalias ' || model || '@' || alias "
        "FROM aliases WHERE version_id = ?",
    ),
    "aliases.model": Keeper(
        "alias",
        "SELECT model || '@' || alias, 'an alias of it', 'wright model unalias ' || model || '@' || alias "
        "FROM aliases WHERE model = ?",
    ),
    "model_versions.model": Keeper("model", _of_models("model", "'a version of it'")),
    "model_versions.parent_id": Keeper("model", _of_models("parent_id", "'derived from it'")),
    "model_versions.run_id": Keeper("model", _of_models("run_id", "'made by it'")),
    "model_versions.environment_digest": Keeper("model", _of_models("environment_digest", "'runs in it'")),
    "version_datasets.dataset_version_id": Keeper(
        "model",
        f"SELECT {_MODEL}, role, 'wright model delete ' || {_MODEL} FROM version_datasets "  # noqa: S608 - ours
        "JOIN model_versions ON model_versions.id = version_id WHERE dataset_version_id = ?",
    ),
    "reproductions.run_id": Keeper(
        "model",
        f"SELECT {_MODEL}, 'made again by it: ' || verdict, 'wright model delete ' || {_MODEL} "  # noqa: S608 - ours
        "FROM reproductions JOIN model_versions ON model_versions.id = version_id WHERE reproductions.run_id = ?",
    ),
    "runs.parent_id": Keeper("run", _of_runs("parent_id", "'its child'")),
    "run_steps.reused_from": Keeper(
        "run",
        "SELECT run_id, 'reused its step ' || name, 'wright run delete ' || run_id FROM run_steps "
        "WHERE reused_from = ? ORDER BY run_id",
    ),
    "trials.run_id": Keeper(
        "sweep",
        "SELECT sweep_id, 'trial ' || number, 'wright run delete ' || sweep_id || ' --with-children' FROM trials "
        "WHERE run_id = ?",
    ),
    "run_datasets.dataset_version_id": Keeper(
        "run",
        "SELECT run_id, role, 'wright run delete ' || run_id FROM run_datasets WHERE dataset_version_id = ? "
        "ORDER BY run_id",
    ),
    "runs.environment_digest": Keeper("run", _of_runs("environment_digest", "'ran in it'")),
    "run_environments.environment_digest": Keeper(
        "run",
        "SELECT run_id, 'a step of it ran in it', 'wright run delete ' || run_id FROM run_environments "
        "WHERE environment_digest = ? ORDER BY run_id",
    ),
    "runs.pipeline_version_id": Keeper("run", _of_runs("pipeline_version_id", "'a run of it'")),
    "pipeline_versions.environment_digest": Keeper("pipeline", _of_pipelines("environment_digest", "'runs in it'")),
    "pipeline_versions.parent_id": Keeper("pipeline", _of_pipelines("parent_id", "'cloned from it'")),
    "pipeline_versions.pipeline": Keeper("pipeline", _of_pipelines("pipeline", "'a version of it'")),
    "schedules.pipeline": Keeper(
        "schedule",
        "SELECT name, 'starts it', 'wright schedule remove ' || name FROM schedules WHERE pipeline = ?",
    ),
    "dataset_versions.dataset_id": Keeper(
        "dataset",
        "SELECT name || ':' || version, 'a version of it', 'wright dataset delete ' || name || ':' || version "
        "FROM dataset_versions JOIN datasets ON datasets.id = dataset_id WHERE dataset_id = ?",
    ),
    "environment_versions.environment_digest": Keeper(
        "environment",
        "SELECT name || ':' || version, 'a name of it', 'wright environment delete ' || name || ':' || version "
        "FROM environment_versions WHERE environment_digest = ?",
    ),
}

_OF_SNAPSHOT = Keeper("run", _of_runs("code_digest", "'its code'"))


def users(connection: sa.Connection, table: sa.Table, key: str) -> list[Use]:
    """Return everything that uses the row of `table` with this key."""
    found: list[Use] = []
    for link in _leading_to(table, KEEPERS):
        found += _used(connection, KEEPERS[link], key)
    return found


def users_of_snapshot(connection: sa.Connection, code_digest: str) -> list[Use]:
    """Return the runs of this state of the code, whose files are kept once for all of them."""
    return _used(connection, _OF_SNAPSHOT, code_digest)


def parts(table: sa.Table) -> Iterator[sa.Column[str]]:
    """Give the links of what is part of a row of `table`."""
    for link in _leading_to(table, PARTS):
        owner, _, column = link.partition(".")
        yield schema.metadata.tables[owner].c[column]


def _leading_to(table: sa.Table, links: Sequence[str] | dict[str, Keeper]) -> list[str]:
    found = []
    for link in links:
        owner, _, column = link.partition(".")
        (target,) = schema.metadata.tables[owner].c[column].foreign_keys
        if target.column.table is table:
            found.append(link)
    return found


def _used(connection: sa.Connection, keeper: Keeper, key: str) -> list[Use]:
    return [Use(keeper.kind, *row) for row in rows(connection, keeper.find, (key,))]
