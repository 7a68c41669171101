"""What is known of the nodes of the graph: their names and facts, and who did what with them, when and why."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from modelwright.records import Key, Node, NodeKind
from modelwright.store import naming
from modelwright.store.database import Store
from modelwright.store.loading import chunks, marks, rows

_SHOWN_DIGITS = 12
_OF_MODEL = re.compile("models/([^:@]+)([:@].*)")

_SAID = "SELECT subject, action, at, actor, why, after FROM audit_records WHERE subject IN ({}) ORDER BY sequence"
_RUN_VALUES = (
    "SELECT run_id, 'parameters', name, value FROM run_parameters WHERE run_id IN ({0}) "
    "UNION ALL SELECT run_id, 'metrics', name, value FROM run_summaries WHERE run_id IN ({0})"
)
_VERSION_VALUES = (
    "SELECT version_id, 'metrics', name, value FROM version_metrics WHERE version_id IN ({0}) "
    "UNION ALL SELECT version_id, 'tags', name, value FROM version_tags WHERE version_id IN ({0}) "
    "UNION ALL SELECT version_id, 'properties', name, value FROM version_properties WHERE version_id IN ({0}) "
    "UNION ALL SELECT version_id, 'aliases', alias, moved_at FROM aliases WHERE version_id IN ({0})"
)
_ENVIRONMENT_NAMES = (
    "SELECT environment_digest, 'names', name || ':' || version, created_at FROM environment_versions "
    "WHERE environment_digest IN ({0})"
)
_FILES_READ = (
    "SELECT run_id || '/' || name, 'read', file.key, file.value FROM run_steps, json_each(evidence, '$.read') AS file "
    "WHERE run_id IN ({0})"
)
_VALUES = {
    NodeKind.STEP: (_FILES_READ, 1),
    NodeKind.RUN: (_RUN_VALUES, 2),
    NodeKind.MODEL: (_VERSION_VALUES, 4),
    NodeKind.ENVIRONMENT: (_ENVIRONMENT_NAMES, 1),
}


class _Description(NamedTuple):
    """How nodes of a kind are read: their tables, the SQL of id and name, the columns that are their facts.

    `column` has the index by which they are found, with what `part` makes of their ids. Of many, only the first
    `brief` facts are read.
    """

    tables: str
    id: str
    name: str
    facts: tuple[str, ...]
    column: str
    part: Callable[[str], str] | None = None
    brief: int | None = None

    def statement(self, count: int, *, is_brief: bool) -> str:
        """Return the statement that reads nodes, found by so many values."""
        chosen = ", ".join((self.id, self.name, *self.chosen(is_brief=is_brief)))
        return f"SELECT {chosen} FROM {self.tables} WHERE {self.column} IN ({marks(count)})"  # noqa: S608 - ours

    def chosen(self, *, is_brief: bool) -> tuple[str, ...]:
        """Return the facts that are read."""
        return self.facts[: self.brief] if is_brief else self.facts

    def values(self, ids: Sequence[str]) -> Sequence[str]:
        """Return the values by which nodes with these ids are found."""
        return list(dict.fromkeys(map(self.part, ids))) if self.part else ids


_DESCRIPTIONS = {
    NodeKind.ENVIRONMENT: _Description(
        "environments", "digest", f"substr(digest, 1, {_SHOWN_DIGITS})", ("python_version", "platform"), "digest"
    ),
    NodeKind.DATASET: _Description(
        "dataset_versions AS found JOIN datasets ON datasets.id = dataset_id",
        "found.id",
        "datasets.name || ':' || version",
        ("digest", "size_bytes", "kind", "storage", "found.created_at"),
        "found.id",
    ),
    NodeKind.PIPELINE: _Description(
        "pipeline_versions", "id", "pipeline || ':' || version", ("description", "code_digest", "created_at"), "id"
    ),
    NodeKind.STEP: _Description(
        "run_steps",
        "run_id || '/' || name",
        "name",
        ("run_id", "position", "status", "reason", "key", "outputs", "reused_from", "started_at"),
        "run_id",
        lambda step: step.partition("/")[0],
    ),
    NodeKind.RUN: _Description(
        "runs",
        "id",
        "id",
        (
            "kind",
            "status",
            "actor",
            "started_at",
            "experiment",
            "reason",
            "project_id",
            "environment_digest",
            "code_digest",
            "git_commit",
            "git_is_dirty",
            "git_branch",
            "git_repository",
            "seed",
            "finished_at",
        ),
        "id",
        brief=4,
    ),
    NodeKind.PROOF: _Description(
        "proofs", "id", "id", ("is_equal", "notebook_digest", "python_version", "created_at"), "id"
    ),
    NodeKind.VERDICT: _Description(
        "gate_verdicts", "id", "id", ("model", "champion", "outcome", "reason", "numbers", "created_at"), "id"
    ),
    NodeKind.MODEL: _Description(
        "model_versions",
        "id",
        "model || ':' || version",
        ("digest", "framework", "created_by", "created_at", "framework_version", "description", "source", "run_id"),
        "id",
        brief=4,
    ),
    NodeKind.ALIAS: _Description(
        "aliases",
        "model || '@' || alias",
        "model || '@' || alias",
        ("moved_at",),
        "model",
        lambda alias: alias.partition("@")[0],
    ),
    NodeKind.DEPLOYMENT: _Description(
        "deployments AS found JOIN endpoints ON endpoints.id = endpoint_id "
        "JOIN model_versions ON model_versions.id = version_id",
        "found.id",
        "found.id",
        (
            "endpoints.name AS endpoint",
            "model_versions.model || ':' || model_versions.version AS version",
            "status",
            "reason",
            "found.created_at",
            "finished_at",
        ),
        "found.id",
    ),
    NodeKind.ENDPOINT: _Description("endpoints", "id", "name", ("host", "port", "created_at"), "id"),
}
# What is made of columns that SQLite keeps as something else.
_READ: dict[str, Callable[[Any], Any]] = {
    "outputs": json.loads,
    "numbers": json.loads,
    "source": json.loads,
    "git_is_dirty": bool,
    "is_equal": bool,
}


class Said(NamedTuple):
    """What an audit record says: who did it, when and why."""

    action: str
    at: str
    actor: str
    why: str
    after: str  # as JSON


def said(store: Store, subjects: Iterable[str]) -> dict[str, list[Said]]:
    """Return what the audit records say of each of these subjects, such as `models/churn:3`, oldest first.

    What they say of it under a name that its model had before comes along.
    """
    found: dict[str, list[Said]] = {}
    with store.reader.connect() as connection:
        asked = _with_former(connection, subjects)
        for some in chunks(list(asked)):
            for subject, *what in rows(connection, _SAID.format(marks(len(some))), some):
                found.setdefault(asked[subject], []).append(Said(*what))
    return {subject: sorted(each, key=lambda said: said.at) for subject, each in found.items()}


def _with_former(connection: sa.Connection, subjects: Iterable[str]) -> dict[str, str]:
    """Return all that subjects were called, with what they are called now."""
    asked = {each: each for each in subjects}
    before: dict[str, list[str]] = {}
    for name, now in naming.names_now(connection).items():
        before.setdefault(now, []).append(name)
    for subject in list(asked) if before else ():
        named = _OF_MODEL.fullmatch(subject)
        if named:
            asked |= {f"models/{name}{named[2]}": subject for name in before.get(named[1], ())}
    return asked


def values(store: Store, keys: Iterable[Key]) -> dict[Key, dict[str, dict[str, Any]]]:
    """Return the named values of nodes: parameters, metrics, tags, the digests of files that steps read, names."""
    found: dict[Key, dict[str, dict[str, Any]]] = {}
    wanted = {each for each in keys if each.kind in _VALUES}
    with store.reader.connect() as connection:
        for kind, ids in by_kind(wanted).items():
            statement, count = _VALUES[kind]
            for some in chunks(_DESCRIPTIONS[kind].values(ids)):
                given = [*some] * count
                for identifier, group, name, value in rows(connection, statement.format(marks(len(some))), given):
                    is_text = kind is NodeKind.RUN and group == "parameters" and isinstance(value, str)
                    if Key(kind, identifier) in wanted:
                        of_node = found.setdefault(Key(kind, identifier), {})
                        of_node.setdefault(group, {})[name] = json.loads(value) if is_text else value
    return found


def describe(store: Store, keys: Iterable[Key], *, is_brief: bool = False) -> dict[Key, Node]:
    """Return the nodes of these keys that there are, with their names and facts; what is brief is read faster."""
    wanted = dict.fromkeys(keys)
    found: dict[Key, Node] = {}
    with store.reader.connect() as connection:
        for kind, ids in by_kind(wanted).items():
            description = _DESCRIPTIONS.get(kind)
            if description is None:
                found |= {Key(kind, each): Node(kind, each, each[:_SHOWN_DIGITS], {}) for each in ids}
                continue
            names = [each.rpartition(" AS ")[2].rpartition(".")[2] for each in description.chosen(is_brief=is_brief)]
            read = [(name, _READ[name]) for name in names if name in _READ]
            for some in chunks(description.values(ids)):
                for row in rows(connection, description.statement(len(some), is_brief=is_brief), some):
                    key = Key(kind, row[0])
                    if key in wanted:
                        facts = dict(zip(names, row[2:], strict=True))
                        for name, reading in read:
                            facts[name] = None if facts[name] is None else reading(facts[name])
                        found[key] = Node(kind, row[0], row[1], facts)
    return {key: found[key] for key in wanted if key in found}


def by_kind(keys: Iterable[Key]) -> dict[NodeKind, list[str]]:
    """Return the ids of each kind."""
    found: dict[NodeKind, list[str]] = {}
    for kind, identifier in keys:
        found.setdefault(kind, []).append(identifier)
    return found
