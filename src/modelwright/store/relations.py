"""Which columns say that one thing came of another. The rows are the graph: there is no other copy of its edges."""

from typing import NamedTuple

from modelwright.records import Direction, NodeKind


class Anchor(NamedTuple):
    """Where a walk finds a relation's edges: at nodes of a kind, whose ids are in a column that has an index."""

    kind: NodeKind
    column: str


class Relation(NamedTuple):
    """Edges that a table holds: the SQL of what they come from, lead to, and of the role.

    A walk goes on from what it found, but not in the direction `ends`. `condition` holds for the way up alone.
    """

    source: NodeKind
    target: NodeKind
    tables: str
    source_id: str
    target_id: str
    role: str
    up: Anchor | None
    down: Anchor | None
    ends: Direction | None = None
    condition: str = ""

    def statement(self, direction: Direction, count: int) -> str:
        """Return the statement that finds the edges at so many nodes."""
        anchor = self.up if direction is Direction.UP else self.down
        assert anchor is not None  # noqa: S101 - `anchored` has picked those that have one
        also = f" AND {self.condition}" if self.condition and direction is Direction.UP else ""
        return (
            f"SELECT {self.source_id}, {self.target_id}, {self.role} FROM {self.tables} "  # noqa: S608 - ours
            f"WHERE {anchor.column} IN ({', '.join('?' * count)}){also}"
        )


_STEP = "run_id || '/' || name"
_CHANGES = "CASE git_is_dirty WHEN 1 THEN 'with changes' ELSE '' END"


def _between(source: NodeKind, target: NodeKind, tables: str, columns: str, role: str = "''") -> Relation:
    """Return the edges that lie between two columns, each of which has an index."""
    source_id, target_id = columns.split()
    return Relation(
        source, target, tables, source_id, target_id, role, Anchor(target, target_id), Anchor(source, source_id)
    )


_ = NodeKind
RELATIONS = (
    # A snapshot may have been taken at many commits: which one counts for a run only its own row tells.
    Relation(
        _.COMMIT,
        _.SNAPSHOT,
        "runs",
        "git_commit",
        "code_digest",
        _CHANGES,
        Anchor(_.RUN, "id"),
        Anchor(_.COMMIT, "git_commit"),
        ends=Direction.DOWN,
    ),
    Relation(_.SNAPSHOT, _.RUN, "runs", "code_digest", "id", "''", None, Anchor(_.COMMIT, "git_commit")),
    _between(_.SNAPSHOT, _.RUN, "runs", "code_digest id"),
    _between(_.SNAPSHOT, _.PIPELINE, "pipeline_versions", "code_digest id"),
    _between(_.SNAPSHOT, _.PROOF, "proofs", "project_digest id"),
    _between(_.ENVIRONMENT, _.RUN, "runs", "environment_digest id"),
    _between(_.ENVIRONMENT, _.PIPELINE, "pipeline_versions", "environment_digest id"),
    _between(_.ENVIRONMENT, _.MODEL, "model_versions", "environment_digest id"),
    _between(_.PIPELINE, _.PIPELINE, "pipeline_versions", "parent_id id", "'cloned'"),
    _between(_.PIPELINE, _.RUN, "runs", "pipeline_version_id id"),
    _between(_.RUN, _.RUN, "runs", "parent_id id", "kind"),
    _between(_.DATASET, _.RUN, "run_datasets", "dataset_version_id run_id", "role"),
    # What a run reused of another is the other's, so both edges are found from either.
    Relation(_.STEP, _.RUN, "run_steps", _STEP, "run_id", "''", Anchor(_.RUN, "run_id"), Anchor(_.RUN, "reused_from")),
    Relation(
        _.RUN,
        _.STEP,
        "run_steps",
        "reused_from",
        _STEP,
        "'reused'",
        Anchor(_.RUN, "run_id"),
        Anchor(_.RUN, "reused_from"),
        ends=Direction.UP,  # a reused step has the same code, inputs and lock: they are found as the run's own
        condition="reused_from IS NOT NULL",
    ),
    _between(_.RUN, _.MODEL, "model_versions", "run_id id"),
    Relation(_.RUN, _.VERDICT, "gate_verdicts", "run_id", "id", "''", Anchor(_.VERDICT, "id"), None),
    Relation(
        _.VERDICT,
        _.MODEL,
        "gate_verdicts JOIN model_versions ON model_versions.run_id = gate_verdicts.run_id",
        "gate_verdicts.id",
        "model_versions.id",
        "outcome",
        Anchor(_.MODEL, "model_versions.id"),
        None,
    ),
    _between(_.PROOF, _.MODEL, "model_versions", "proof_id id"),
    _between(_.DATASET, _.MODEL, "version_datasets", "dataset_version_id version_id", "role"),
    _between(_.MODEL, _.MODEL, "model_versions", "parent_id id", "'derived'"),
    _between(_.MODEL, _.RUN, "reproductions", "version_id run_id", "verdict"),
    Relation(
        _.MODEL, _.ALIAS, "aliases", "version_id", "model || '@' || alias", "''", None, Anchor(_.MODEL, "version_id")
    ),
    _between(_.MODEL, _.DEPLOYMENT, "deployments", "version_id id"),
    _between(_.MODEL, _.DEPLOYMENT, "deployment_models", "version_id deployment_id", "'beside'"),
    # Whatever an endpoint has served came down to it; what it answers with now comes of one deployment.
    _between(_.DEPLOYMENT, _.ENDPOINT, "deployments", "id endpoint_id", "status")._replace(
        condition="status = 'healthy'"
    ),
)


def anchored(direction: Direction) -> dict[NodeKind, list[Relation]]:
    """Return the relations whose edges a walk finds at each kind of node."""
    found: dict[NodeKind, list[Relation]] = {}
    for each in RELATIONS:
        anchor = each.up if direction is Direction.UP else each.down
        if anchor:
            found.setdefault(anchor.kind, []).append(each)
    return found
