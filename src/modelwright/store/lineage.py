"""The graph of all rows: a walk up to what things came of, or down to what came of them, by indices alone."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import sqlalchemy as sa

from modelwright.errors import LineageMissing
from modelwright.records import Direction, Edge, Key, Node, NodeKind
from modelwright.store import naming
from modelwright.store.database import Store
from modelwright.store.descriptions import by_kind, describe
from modelwright.store.loading import chunks, rows
from modelwright.store.relations import anchored

_LONGEST_NUMBER = 9  # more digits than a column of whole numbers holds in every database
_HIGHEST = "\U0010ffff"
# Where names are seen of what has no list of its own.
_LISTS = {
    NodeKind.SNAPSHOT: "wright run show RUN",
    NodeKind.COMMIT: "wright run show RUN",
    NodeKind.DEPLOYMENT: "wright endpoint show ENDPOINT",
}
_RELATIONS = {direction: anchored(direction) for direction in Direction}

_BY_NAME = {
    NodeKind.DATASET: (
        "SELECT dataset_versions.id FROM datasets JOIN dataset_versions ON dataset_id = datasets.id WHERE name = ?",
        " AND version = ?",
        " ORDER BY version DESC",
    ),
    NodeKind.MODEL: ("SELECT id FROM model_versions WHERE model = ?", " AND version = ?", " ORDER BY version DESC"),
    NodeKind.PIPELINE: (
        "SELECT id FROM pipeline_versions WHERE pipeline = ?",
        " AND version = ?",
        " ORDER BY version DESC",
    ),
    NodeKind.ENVIRONMENT: (
        "SELECT environment_digest FROM environment_versions WHERE name = ?",
        " AND version = ?",
        " ORDER BY version DESC",
    ),
}
_BY_ALIAS = "SELECT version_id FROM aliases WHERE model = ? AND alias = ?"
_BY_ID = {
    NodeKind.RUN: "SELECT id FROM runs WHERE id = ?",
    NodeKind.DEPLOYMENT: "SELECT id FROM deployments WHERE id = ?",
    NodeKind.ENDPOINT: "SELECT id FROM endpoints WHERE name = ?",
}
_BY_BEGINNING = {
    NodeKind.ENVIRONMENT: ("environments", "digest"),
    NodeKind.SNAPSHOT: ("runs", "code_digest"),
    NodeKind.COMMIT: ("runs", "git_commit"),
}
# The first and the last that begin so: where they are one, it is the only one. To list all would be to read them all.
_ENDS = (
    "SELECT (SELECT MIN({1}) FROM {0} WHERE {1} >= ?1 AND {1} < ?2) "
    "UNION SELECT (SELECT MAX({1}) FROM {0} WHERE {1} >= ?1 AND {1} < ?2)"
)
# The deployment of a version that was the last to begin before a request came.
_SERVING = (
    "SELECT found.id FROM deployments AS found JOIN endpoints ON endpoints.id = endpoint_id "
    "WHERE version_id = ? AND endpoints.name = ? AND found.created_at <= ? ORDER BY found.created_at DESC LIMIT 1"
)


def walk(store: Store, starts: Iterable[Key], direction: Direction) -> tuple[list[Edge], dict[Key, Node]]:
    """Return all edges that lead up or down from `starts`, and every node on the way, these included.

    What depends on a thing may be much, so nodes on the way down have only the facts that lists show.
    """
    seen = dict.fromkeys(starts)
    edges: dict[Edge, None] = {}
    waiting = list(seen)
    with store.reader.connect() as connection:
        while waiting:
            ahead: dict[Key, None] = {}
            for edge, is_end in _edges(connection, waiting, direction):
                edges[edge] = None
                far = edge.source if direction is Direction.UP else edge.target
                if far not in seen and not is_end:
                    ahead[far] = None
            seen |= ahead  # what was seen is not walked on from again, so a circle ends
            waiting = list(ahead)
    ends = itertools.chain(seen, (edge.source for edge in edges), (edge.target for edge in edges))
    return list(edges), describe(store, ends, is_brief=direction is Direction.DOWN)


def _edges(connection: sa.Connection, keys: Sequence[Key], direction: Direction) -> Iterator[tuple[Edge, bool]]:
    for kind, ids in by_kind(keys).items():
        for relation in _RELATIONS[direction].get(kind, ()):
            source, target, is_end = relation.source, relation.target, relation.ends is direction
            for some in chunks(ids):
                for from_id, to_id, role in rows(connection, relation.statement(direction, len(some)), some):
                    if from_id is not None and to_id is not None:
                        yield Edge(Key(source, from_id), Key(target, to_id), role), is_end


def find(store: Store, kind: NodeKind, name: str) -> Key:
    """Return the key of what is called `name`: a reference, an id, or the beginning of a digest.

    Raises LineageMissing, and ModelRenamed for a model that is called otherwise now.
    """
    with store.reader.connect() as connection:
        found = _find(connection, kind, name)
        if not found and kind is NodeKind.MODEL:
            naming.refuse_former(connection, name)
    if len(found) != 1:
        told = f"more than one {kind} begins so" if found else f"no {kind} in this workspace is called so"
        raise LineageMissing(name=name, reason=told, kind=kind, next=_LISTS.get(kind, f"wright {kind} list"))
    return Key(kind, found[0])


def versions(store: Store) -> list[Key]:
    """Return all model versions, oldest first."""
    with store.reader.connect() as connection:
        return [Key(NodeKind.MODEL, each) for each in _ids(connection, "SELECT id FROM model_versions ORDER BY id", ())]


def deployment_of(store: Store, endpoint: str, *, version_id: str, at: str) -> str | None:
    """Return the id of the deployment of a version that served an endpoint at a time, as ISO 8601."""
    with store.reader.connect() as connection:
        found = _ids(connection, _SERVING, (version_id, endpoint, at))
    return found[0] if found else None


def _find(connection: sa.Connection, kind: NodeKind, name: str) -> list[str]:
    if kind in _BY_ID:
        return _ids(connection, _BY_ID[kind], (name,))
    found: list[str] = []
    if kind is NodeKind.MODEL and "@" in name:
        found = _ids(connection, _BY_ALIAS, name.split("@", 1))
    elif kind in _BY_NAME:
        begin, numbered, order = _BY_NAME[kind]
        thing, _, number = name.partition(":")
        if not number or number == "latest":
            found = _ids(connection, f"{begin}{order} LIMIT 1", (thing,))
        elif number.isdecimal() and len(number) <= _LONGEST_NUMBER:
            found = _ids(connection, begin + numbered, (thing, int(number)))
    if not found and kind in _BY_BEGINNING and name:
        statement = _ENDS.format(*_BY_BEGINNING[kind])
        found = [each for each in _ids(connection, statement, (name, name + _HIGHEST)) if each is not None]
    return found


def _ids(connection: sa.Connection, statement: str, given: Sequence[object]) -> list[str]:
    return [row[0] for row in rows(connection, statement, given)]
