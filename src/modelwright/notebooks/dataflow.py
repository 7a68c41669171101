"""Which statement needs which: a graph over a notebook's top-level statements.

What a trace saw of a statement takes the place of what analysis must fear: an object that was looked at and did not
change was not changed, a random state that did not move was not drawn from.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from modelwright.notebooks import effects, names
from modelwright.notebooks.effects import FIGURE, RANDOM, Effects, Groups
from modelwright.notebooks.names import Names
from modelwright.notebooks.statements import Statement
from modelwright.records import StatementTrace, Trace


@dataclass(frozen=True)
class Flow:
    """A notebook's statements with their effects.

    `sources[j]` are the statements whose results statement `j` uses, `data_sources[j]` those of them that give it a
    variable rather than hidden state; `conflicts[j]` adds those that must stay before it because they read or write
    what it writes. `seen` is what a trace saw, by statement; it is empty without one.
    """

    statements: Sequence[Statement]
    names: Names
    effects: Sequence[Effects]
    sources: Sequence[frozenset[int]]
    data_sources: Sequence[frozenset[int]]
    conflicts: Sequence[frozenset[int]]
    seen: Mapping[int, StatementTrace] = field(default_factory=dict)

    def descendants(self, starts: frozenset[int]) -> frozenset[int]:
        """Return the statements that use, at any remove, a variable that one of `starts` gives."""
        found: set[int] = set()
        for index, sources in enumerate(self.data_sources):
            if sources & (found | starts):
                found.add(index)
        return frozenset(found)

    def ancestors(self, ends: frozenset[int]) -> frozenset[int]:
        """Return the statements whose results `ends` use, at any remove."""
        found: set[int] = set()
        waiting = [each for end in ends for each in self.sources[end]]
        while waiting:
            index = waiting.pop()
            if index not in found:
                found.add(index)
                waiting += self.sources[index]
        return frozenset(found)


def flow(statements: Sequence[Statement], trace: Trace | None = None) -> Flow:
    """Return the data flow of a notebook's statements in cell order."""
    known = names.build([each.tree for each in statements], effects.summary)
    scalars = _always_scalar(statements)
    plain = [_without_links(effects.of(each.tree, known), scalars) for each in statements]
    widened = _with_shared_memory(plain, _always_literal(statements))
    seen = {each.index: _renamed(each, statements[each.index]) for each in trace.statements} if trace else {}
    final = [
        _as_seen(own, wide, seen[number], is_import=names.is_import(statements[number].tree))
        if number in seen
        else wide
        for number, (own, wide) in enumerate(zip(plain, widened, strict=True))
    ]
    final = _with_figures_of_cells(final, statements)
    reaching = [givers(number, final) for number in range(len(final))]
    written = [_writers(number, seen) for number in range(len(final))]
    sources = [
        frozenset(index for found in each.values() for index in found) | written[number]
        for number, each in enumerate(reaching)
    ]
    data_sources = [
        frozenset(index for name, found in each.items() if not name.startswith("<") for index in found)
        | written[number]
        for number, each in enumerate(reaching)
    ]
    conflicts = [sources[number] | _conflicting(number, final) for number in range(len(final))]
    return Flow(statements, known, final, sources, data_sources, conflicts, seen)


def watched(flow: Flow) -> dict[int, frozenset[str]]:
    """Return the names that each statement may change, by what can be known before it runs: a trace looks at them."""
    originals = flow.statements[0].renamed.variables if flow.statements else {}
    return {
        number: frozenset(
            originals.get(name, name)
            for name in (known.reads | known.changes) - flow.names.imports.keys()
            if not name.startswith("<")
        )
        for number, known in enumerate(flow.effects)
    }


def in_notebook(expression: str, flow: Flow) -> str:
    """Return an expression as it stands in the notebook, whose kernel does not know the new names."""
    renamed = flow.statements[0].renamed if flow.statements else None
    for new, old in {**renamed.imports, **renamed.variables}.items() if renamed else ():
        expression = re.sub(rf"(?<![\w.]){re.escape(new)}(?!\w)", old, expression)
    return expression


def _renamed(seen: StatementTrace, statement: Statement) -> StatementTrace:
    """Return what was seen with the names that variables have by now; an import's own name is no variable."""
    if not statement.renamed.variables and not statement.renamed.imports:
        return seen
    names_now = {old: new for new, old in statement.renamed.variables.items()}
    gone = set(statement.renamed.imports.values()) if names.is_import(statement.tree) else set()

    def now(found: frozenset[str]) -> frozenset[str]:
        return frozenset(names_now.get(each, each) for each in found - gone)

    return replace(
        seen,
        bound=now(seen.bound),
        deleted=now(seen.deleted),
        mutated=now(seen.mutated),
        opaque=now(seen.opaque),
        aliases=frozenset((names_now.get(one, one), names_now.get(other, other)) for one, other in seen.aliases),
        kinds={names_now.get(name, name): kind for name, kind in seen.kinds.items()},
    )


def _as_seen(own: Effects, widened: Effects, seen: StatementTrace, *, is_import: bool) -> Effects:
    """Return a statement's effects as they were seen; what could not be seen stays as it was feared."""
    unsure = seen.opaque | own.fits | own.may_bind
    changes = {name for name in own.changes if name in unsure or name.startswith("<")}
    changes |= {name for name in widened.changes if name in seen.opaque}
    changes = (changes - RANDOM) | seen.mutated | seen.deleted | (seen.bound - own.binds)
    # What only a branch binds, and did not this time, was not bound.
    changes -= own.may_bind - seen.bound - seen.mutated
    reads = own.reads - RANDOM
    # What libraries draw while they are imported, they draw in the project too.
    drawn = (seen.drew & RANDOM) - own.binds if not is_import else frozenset[str]()
    figure = {FIGURE} if seen.figures else set()
    return replace(
        own,
        reads=reads | drawn | figure | ((seen.mutated | seen.deleted) - own.binds),
        changes=frozenset(changes | drawn | figure),
        links=seen.aliases,
        unseeded=own.unseeded,
    )


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


def _with_figures_of_cells(known: Sequence[Effects], statements: Sequence[Statement]) -> list[Effects]:
    """Return the effects, where the first statement of a cell to draw begins a figure: notebooks close the others."""
    drawn, found = set[int](), []
    for own, statement in zip(known, statements, strict=True):
        is_first = FIGURE in own.changes and statement.cell not in drawn
        drawn |= {statement.cell} if is_first else set()
        found.append(replace(own, reads=own.reads - {FIGURE}, binds=own.binds | {FIGURE}) if is_first else own)
    return found


def givers(number: int, known: Sequence[Effects]) -> dict[str, set[int]]:
    """Return the statements that may have given each name that a statement reads what it holds by then."""
    found: dict[str, set[int]] = {}
    for name in known[number].reads:
        own = found.setdefault(name, set())
        for earlier in range(number - 1, -1, -1):
            if name in known[earlier].changes:
                own.add(earlier)
            if name in known[earlier].binds:
                own.add(earlier)
                break
    return found


def _writers(number: int, seen: Mapping[int, StatementTrace]) -> frozenset[int]:
    """Return the statements that wrote the files which a statement was seen to read."""
    read = set(seen[number].read) if number in seen else set()
    return frozenset(index for index, each in seen.items() if index < number and read & set(each.written))


def _conflicting(number: int, known: Sequence[Effects]) -> frozenset[int]:
    written = known[number].binds | known[number].changes
    return frozenset(
        earlier
        for earlier in range(number)
        if written & (known[earlier].reads | known[earlier].binds | known[earlier].changes)
    )
