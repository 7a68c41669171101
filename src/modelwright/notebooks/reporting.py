"""The report of a project: its functions that draw what depends on a model, and what is left of it when some cannot.

The plots are cut off from training: they are given what its functions return, and change nothing of it.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from modelwright.notebooks import arranging, closures, figures, importing, names, rendering, slicing, supplying
from modelwright.notebooks.closures import Closures
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.rendering import Context
from modelwright.notebooks.shaping import REPORT, Stage
from modelwright.notebooks.slicing import Slice
from modelwright.notebooks.supplying import Supplied, Training, Unmade
from modelwright.records import Beside, Finding, Function, Notebook, Plan, Plot, Removal, Report

# What report.py has beside the plots, with what it imports for itself.
STYLE = "set_style"
OWN_NAMES = ("saved_figures", STYLE, "main", "argparse", "contextlib", "copy", "itertools", "mock", "os")
_PYPLOT = "matplotlib.pyplot"


@dataclass(frozen=True)
class _Figure:
    """A figure's statements, what draws it, and the definitions that training does without."""

    group: tuple[int, ...]
    supplied: Supplied
    definitions: frozenset[int]


def report(
    notebook: Notebook, known: Training, context: Context, *, functions: Sequence[Function], removals: Sequence[Removal]
) -> tuple[Report | None, list[Removal]]:
    """Return the report of a notebook, None without any, and what is removed with it.

    `functions` are those of the training's stages, `removals` what is removed without a report. What cannot be drawn
    from what training gives stays among the removals, with that reason.
    """
    found, reasons = _figures(known)
    found, impossible = _definable(found, known, context)
    # In the order of their calls, by which their pictures are numbered.
    found = sorted(found, key=lambda each: each.supplied.place)
    explained = [_explained(each, reasons | impossible, known.flow) for each in removals]
    if not found:
        return None, explained
    kept = _extended(found, known)
    context = replace(context, measures={}, shows=frozenset(), closures=closures.closures(known.flow, kept))
    drawing = _functions(found, known, context, {each.name for each in functions})
    beside = {
        index: rendering.definitions(known.flow, [index], context)
        for index in sorted(frozenset[int]().union(*(each.definitions for each in found)))
    }
    style = _style(found, known, context)
    styled = [style] if style else []
    used = _names_in([*(each.code for each in [*drawing, *styled]), *beside.values()])
    kept = replace(kept, body=kept.body.union(*(_indices(each, known.flow) for each in styled)))
    kept = replace(kept, imports=known.kept.imports | (used & known.flow.names.imports.keys()))
    absorbed = frozenset(known.parameters.constants.values())
    left = slicing.removals(notebook, known.flow, kept, absorbed=absorbed, results=known.results)
    places = Counter((each.cell, each.line, each.source) for each in left)
    moved = []
    for each in explained:
        place = (each.cell, each.line, each.source)
        moved += [] if places[place] else [each]
        places[place] -= 1
    plots = [
        Plot(
            function,
            one.supplied.place + 1,
            _needs(one.supplied, known, context, functions),
            _told_as(function, moved),
        )
        for one, function in zip(found, drawing, strict=True)
    ]
    made = Report(
        plots=tuple(plots),
        beside=tuple(_beside(beside, moved, known.flow)),
        imports=importing.lines(known.flow, used),
        style=Plot(style, 0, (), _told_as(style, moved)) if style else None,
        pyplot=next((name for name, origin in known.flow.names.imports.items() if origin == _PYPLOT), "plt"),
    )
    gone = {id(each) for each in moved}
    return made, [each for each in explained if id(each) not in gone]


def _told_as(function: Function, moved: Iterable[Removal]) -> tuple[Removal, ...]:
    """Return what a function's statements are told of as when it is left out."""
    return tuple(each for each in moved if (each.cell, each.line) in function.places)


def _indices(function: Function, flow: Flow) -> frozenset[int]:
    return frozenset(each.index for each in flow.statements if (each.cell, each.line) in function.places)


def _codes(made: Report) -> list[str]:
    """Return all code of a report's own."""
    drawing = [*made.plots, *([made.style] if made.style else [])]
    return [*(each.function.code for each in drawing), *(each.code for each in made.beside)]


def modules(made: Report | None) -> set[str]:
    """Return the installed packages that a report imports, by import name."""
    if made is None:
        return set()
    used = _names_in(_codes(made))
    return {"matplotlib", *importing.modules(importing.select(made.imports, used))}


def without(plan: Plan, causes: Mapping[str, str]) -> Plan:
    """Return a plan whose report does without the plots that have a cause to be left out, each with a finding."""
    made = plan.report
    if made is None or not causes:
        return plan
    dropped = [each for each in made.plots if each.function.name in causes]
    plots = tuple(each for each in made.plots if each not in dropped)
    # A figure that another one repeats is still in the report.
    places = {place for each in plots for place in each.function.places}
    gone = [one for each in dropped for one in each.removals if (one.cell, one.line) not in places]
    style = made.style if plots else None
    gone += made.style.removals if made.style and not style else ()
    beside = _needed_beside([*plots, *([style] if style else [])], made.beside)
    shrunk = replace(made, plots=plots, beside=beside, style=style)
    needed = _names_in(_codes(shrunk))
    for each in made.beside:
        is_left = each in beside
        gone += [one for name, one in each.removals.items() if not is_left or (not each.code and name not in needed)]
    left = shrunk if plots else None
    own = importing.modules(plan.imports) | importing.modules(arranging.opened(plan.score)[1])
    spare = modules(made) - modules(left) - own
    findings = [_left_out(each, causes[each.function.name], plan.notebook) for each in dropped]
    return replace(
        plan,
        report=left,
        removals=tuple(sorted({*plan.removals, *gone}, key=lambda each: (each.cell, each.line))),
        findings=(*plan.findings, *findings),
        modules=tuple(each for each in plan.modules if each not in spare),
    )


def _left_out(plot: Plot, cause: str, notebook: str) -> Finding:
    cell, line = (plot.removals[0].cell, plot.removals[0].line) if plot.removals else plot.function.places[0]
    return Finding(
        code="report-left-out",
        message=f"what is drawn here is not in report.py: {cause}",
        fix="draw it in a cell of its own, of what training gives",
        notebook=notebook,
        cell=cell,
        line=line,
    )


def _needed_beside(plots: Iterable[Plot], beside: Sequence[Beside]) -> tuple[Beside, ...]:
    """Return what stands beside the plots and one of them needs, at any remove."""
    needed = _names_in([each.function.code for each in plots])
    while True:
        found = tuple(each for each in beside if needed & (arranging.bound(each.code) | each.removals.keys()))
        more = needed | _names_in([each.code for each in found])
        if more == needed:
            return found
        needed = more


# --- which figures ---


def _figures(known: Training) -> tuple[list[_Figure], dict[int, str]]:
    """Return the figures that can be drawn, and of the statements of others why they cannot."""
    found: list[_Figure] = []
    reasons: dict[int, str] = {}
    for group in figures.figures(known.flow, known.kept, known.results):
        try:
            one = supplying.supplied(group, known)
            found.append(_Figure(group, one, supplying.new_definitions(one, known)))
        except Unmade as error:
            reasons |= dict.fromkeys(group, str(error))
    return found, reasons


def _definable(found: Sequence[_Figure], known: Training, context: Context) -> tuple[list[_Figure], dict[int, str]]:
    """Return the figures whose functions can be given what they read, with training's own left as they are."""
    kept = _extended(found, known)
    closed = closures.closures(known.flow, kept)
    impossible = dict(closed.impossible)
    is_same = _agree(closed, context.closures, known)
    able: list[_Figure] = []
    reasons: dict[int, str] = {}
    for each in found:
        read = [name for index, name in impossible.items() if index in each.definitions]
        reason = f'a function of it reads the variable "{read[0]}"' if read else ""
        if each.supplied.definitions and not is_same:
            reason = "a function of it is defined more than once"
        if reason:
            reasons |= dict.fromkeys(each.group, reason)
        else:
            able.append(each)
    return able, reasons


def _agree(closed: Closures, training: Closures, known: Training) -> bool:
    """Whether the definitions of training have the same names and parameters with the report's beside them."""
    kept = known.kept.body | known.kept.definitions
    is_named_so = all(training.lives.get(index, {}) == closed.lives.get(index, {}) for index in kept)
    return is_named_so and all(closed.given.get(name) == given for name, given in training.given.items())


def _extended(found: Sequence[_Figure], known: Training) -> Slice:
    """Return what is kept of the notebook with the figures."""
    body = known.kept.body.union(*(each.supplied.statements for each in found))
    saving = {index for each in found for index in each.group if figures.only_saves(index, known.flow)}
    definitions = known.kept.definitions.union(*(each.definitions for each in found))
    return replace(known.kept, body=body | saving, definitions=definitions)


def _explained(removal: Removal, reasons: Mapping[int, str], flow: Flow) -> Removal:
    for index, reason in reasons.items():
        one = flow.statements[index]
        if (one.cell, one.line, one.source) == (removal.cell, removal.line, removal.source):
            return replace(removal, reason=f"{removal.reason}; {reason}")
    return removal


# --- functions ---


def _functions(found: Sequence[_Figure], known: Training, context: Context, taken: set[str]) -> list[Function]:
    flow = known.flow
    taken = taken.union(OWN_NAMES, *(each.binds | each.reads for each in flow.effects))
    functions = []
    for each in found:
        one = each.supplied
        fitted = {name for _, name in known.results.learning.fits}
        models = [name for name in one.inputs if name in fitted]
        named = figures.candidates(each.group, one.statements, flow, models)
        named += [(f"{named[0][0]}_{number}", named[0][1]) for number in range(2, 1000)]
        name, purpose = next(candidate for candidate in named if candidate[0] not in taken)
        taken.add(name)
        function = rendering.function(Stage(name, REPORT, one.statements, one.inputs, (), one.parameters), context)
        # What only writes the figure to a file is done by whoever calls the function.
        saving = [index for index in each.group if figures.only_saves(index, flow)]
        places = tuple((flow.statements[index].cell, flow.statements[index].line) for index in saving)
        code = _with_opening(function.code, purpose, one.copied)
        functions.append(replace(function, code=code, places=(*function.places, *places)))
    return functions


def _with_opening(code: str, purpose: str, copied: Sequence[tuple[str, bool]]) -> str:
    """Return a function's code that begins by saying what it is for, and with copies of what it changes."""
    lines = code.split("\n")
    place = next(number for number, line in enumerate(lines) if line.startswith('    """'))
    opening = [
        f'    """{purpose}"""',
        *(f"    {name} = {f'{name}.copy()' if has_copy else f'copy.deepcopy({name})'}" for name, has_copy in copied),
    ]
    return "\n".join([*lines[:place], *opening, *lines[place + 1 :]])


def _style(found: Sequence[_Figure], known: Training, context: Context) -> Function | None:
    """Return the function that sets how all figures look, as the notebook does; None where it leaves that alone."""
    taken = {index for each in found for index in (*each.group, *each.supplied.statements)}
    statements = figures.style(known.flow, known.kept, taken)
    if not statements:
        return None
    function = rendering.function(Stage(STYLE, REPORT, tuple(statements), (), (), ()), context)
    return replace(function, code=_with_opening(function.code, "Set how all figures look.", ()))


def _needs(one: Supplied, known: Training, context: Context, functions: Sequence[Function]) -> tuple[int, ...]:
    """Return the places of the functions that must run before a figure; all of them should that not be enough."""
    found = supplying.needed_stages(one, known)
    measuring = [number for number, each in enumerate(functions) if context.measured in each.outputs]
    for number in sorted(found, reverse=True):
        if context.measured in functions[number].inputs:
            found |= {each for each in measuring if each < number}
    made = {"output_folder"}
    for number in sorted(found):
        if not set(functions[number].inputs) <= made:
            return tuple(range(one.place + 1))
        made |= set(functions[number].outputs)
    return tuple(sorted(found)) if set(one.inputs) <= made else tuple(range(one.place + 1))


# --- what stands beside them ---


def _beside(definitions: Mapping[int, str], moved: Sequence[Removal], flow: Flow) -> Iterator[Beside]:
    """Give the definitions and imports that training does without."""
    for index, code in definitions.items():
        one = flow.statements[index]
        mine = [each for each in moved if (each.cell, each.line) == (one.cell, one.line)]
        bound = sorted(arranging.bound(code))
        yield Beside(code, one.cell, one.line, {name: mine[0] for name in bound[:1] if mine})
    for one in flow.statements:
        if names.is_import(one.tree):
            mine = [each for each in moved if (each.cell, each.line) == (one.cell, one.line)]
            removals = {name: each for each in mine for name in sorted(importing.names_bound(each.source))}
            if removals:
                yield Beside("", one.cell, one.line, removals)


def _names_in(codes: Iterable[str]) -> set[str]:
    """Return the names that code reads."""
    return {each.id for code in codes for each in ast.walk(ast.parse(code)) if isinstance(each, ast.Name)}
