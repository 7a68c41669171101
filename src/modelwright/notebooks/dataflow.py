"""Which statement needs which: a graph over a notebook's top-level statements."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelwright.notebooks import effects, names
from modelwright.notebooks.effects import Effects, Groups
from modelwright.notebooks.names import Names
from modelwright.notebooks.statements import Statement


@dataclass(frozen=True)
class Flow:
    """A notebook's statements with their effects.

    `sources[j]` are the statements whose results statement `j` uses; `conflicts[j]` adds those that must stay before
    it because they read or write what it writes.
    """

    statements: Sequence[Statement]
    names: Names
    effects: Sequence[Effects]
    sources: Sequence[frozenset[int]]
    conflicts: Sequence[frozenset[int]]


def flow(statements: Sequence[Statement]) -> Flow:
    """Return the data flow of a notebook's statements in cell order."""
    known = names.build([each.tree for each in statements], effects.summary)
    scalars = _always_scalar(statements)
    plain = [_without_links(effects.of(each.tree, known), scalars) for each in statements]
    shared = _with_shared_memory(plain, _always_literal(statements))
    sources = [frozenset(_reaching(number, shared)) for number in range(len(shared))]
    conflicts = [sources[number] | _conflicting(number, shared) for number in range(len(shared))]
    return Flow(statements, known, shared, sources, conflicts)


def _always_scalar(statements: Sequence[Statement]) -> frozenset[str]:
    """Return the names that are only ever assigned literal numbers and strings, which cannot change in place."""
    literal, other = set[str](), set[str]()
    for each in statements:
        for node in ast.walk(each.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                plain = isinstance(each.tree, ast.Assign) and isinstance(each.tree.value, ast.Constant)
                (literal if plain else other).add(node.id)
    return frozenset(literal - other)


def _always_literal(statements: Sequence[Statement]) -> frozenset[str]:
    """Return the names that are only ever assigned literals, lists and dictionaries of literals included."""
    literal, other = set[str](), set[str]()
    for each in statements:
        for node in ast.walk(each.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                (literal if names.is_literal(each.tree) else other).add(node.id)
    return frozenset(literal - other)


def _without_links(known: Effects, scalars: frozenset[str]) -> Effects:
    return replace(known, links=frozenset(pair for pair in known.links if not scalars & set(pair)))


def _with_shared_memory(plain: Sequence[Effects], literals: frozenset[str]) -> list[Effects]:
    """Return the statements' effects, changes widened to all names that may share memory by then."""
    groups, bound, widened = Groups(), set[str](), []
    for own in plain:
        groups.add(own.links)
        bound |= own.binds | own.changes
        reached = {name for changed in own.changes - own.fits - own.may_bind for name in groups.of(changed)}
        reached |= {name for fitted in own.fits for name in groups.of(fitted) - literals}
        reached &= bound
        widened.append(replace(own, changes=own.changes | (reached - own.binds)))
    return widened


def _reaching(number: int, known: Sequence[Effects]) -> set[int]:
    found: set[int] = set()
    for name in known[number].reads:
        for earlier in range(number - 1, -1, -1):
            if name in known[earlier].changes:
                found.add(earlier)
            if name in known[earlier].binds:
                found.add(earlier)
                break
    return found


def _conflicting(number: int, known: Sequence[Effects]) -> frozenset[int]:
    written = known[number].binds | known[number].changes
    return frozenset(
        earlier
        for earlier in range(number)
        if written & (known[earlier].reads | known[earlier].binds | known[earlier].changes)
    )
