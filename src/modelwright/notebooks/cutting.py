"""Cuts runs of statements that are too long for one function, where the least flows across."""

from collections.abc import Sequence

from modelwright.notebooks.dataflow import Flow

# A reader takes in a function of this many lines at once.
MOST_LINES = 25
# A cut inside a cell weighs as much as this many names that flow across.
_INSIDE_CELL = 2.0


def cut(flow: Flow, group: Sequence[int]) -> list[list[int]]:
    """Return the group in parts of at most `MOST_LINES` lines, where its statements allow."""
    lines = [flow.statements[index].source.count("\n") + 1 for index in group]
    if sum(lines) <= MOST_LINES or len(group) == 1:
        return [list(group)]
    place = min(range(1, len(group)), key=lambda at: _cost(flow, group, lines, at))
    return [*cut(flow, group[:place]), *cut(flow, group[place:])]


def _cost(flow: Flow, group: Sequence[int], lines: Sequence[int], place: int) -> float:
    before, after = group[:place], group[place:]
    made = {name for index in before for name in flow.effects[index].binds | flow.effects[index].changes}
    needed = {name for index in after for name in flow.effects[index].reads}
    crossing = len({name for name in made & needed if not name.startswith("<")})
    is_inside = flow.statements[before[-1]].cell == flow.statements[after[0]].cell
    imbalance = abs(sum(lines[:place]) - sum(lines[place:])) / MOST_LINES
    return crossing + (_INSIDE_CELL if is_inside else 0.0) + imbalance
