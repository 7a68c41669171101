"""The page of a conversion: the proof, and the notebook beside the project with their lines linked, in one HTML file.

It needs no network and no other file. What it shows was written by others, so all of it is escaped, and the page's
policy lets no script run but its own.
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelwright.notebooks import credentials, deciding
from modelwright.notebooks.deciding import Decision, Fate
from modelwright.projects import linking, verdicts
from modelwright.projects.highlighting import escaped, highlighted
from modelwright.projects.manifest import PARAMETERS_FILE
from modelwright.records import Cell, Finding, Notebook, Plan, Proof

# By this a page of ours is told from a file of the user's with the same name.
MARK = '<meta name="generator" content="Modelwright conversion">'

_STYLE = Path(__file__).with_name("page_style.css")
_SCRIPT = Path(__file__).with_name("page_script.js")
_WORDS = {
    Fate.KEPT: "kept",
    Fate.PARAMETER: "parameter",
    Fate.MODULE: "module level",
    Fate.REPORT: "report",
    Fate.REMOVED: "removed",
}


def render(
    notebook: Notebook,
    plan: Plan,
    modules: Mapping[str, str],
    *,
    proof: Proof | None,
    tests: str | None,
    scoring: Notebook | None = None,
    elapsed_seconds: float | None = None,
) -> str:
    """Return the page of one conversion.

    `modules` are the project's files to show, by path. `tests` is the last line of its own tests, None when they have
    not run; `elapsed_seconds` how long the notebook took.
    """
    if scoring and scoring.path.name == notebook.path.name:
        scoring = None  # the plan tells notebooks apart by their names
    decided = {each.path.name: deciding.decisions(each, plan) for each in (notebook, scoring) if each}
    found = [one for each in decided.values() for one in each]
    sides = _Sides(found, modules, linking.links(found, modules), linking.functions(modules))
    counts = Counter(each.fate for each in found)
    shown = {**counts, Fate.PARAMETER: sum(bool(sides.parameters(each)) for each in range(len(found)))}
    own = [*notebook.findings, *(scoring.findings if scoring else ())]
    findings = list(dict.fromkeys([*own, *plan.findings]))
    whole = [each for each in findings if not (each.cell and each.notebook in decided)]
    facts = [
        *((str(counts[fate]), _WORDS[fate]) for fate in (Fate.KEPT, Fate.MODULE, Fate.REMOVED)),
        *([(str(counts[Fate.REPORT]), _WORDS[Fate.REPORT])] if counts[Fate.REPORT] else []),
        (str(len(plan.functions)), "functions"),
        (str(len(plan.parameters)), "parameters"),
        (str(len(findings)), "findings"),
        *([(f"{elapsed_seconds:,.1f} s", "notebook's run")] if elapsed_seconds is not None else []),
    ]
    anchors = _anchors(notebook, sides)
    body = [
        "<header>",
        f"<h1>{_shown(notebook.path.name)}<span>, and the project that it became</span></h1>",
        verdicts.verdict(proof, tests),
        "<dl>" + "".join(f"<div><dt>{word}</dt><dd>{number}</dd></div>" for number, word in facts) + "</dl>",
        "</header>",
        _findings(whole, "Findings on the whole notebook"),
        verdicts.table(proof, anchors) if proof else "",
        _filters({fate: count for fate in Fate if (count := shown.get(fate))}),
        '<main><section class="side" id="notebook" tabindex="0" aria-label="The notebook">',
        *(_notebook(each, sides, findings, prefix) for each, prefix in _notebooks(notebook, scoring)),
        '</section><section class="side" id="project" tabindex="0" aria-label="The project">',
        _contents(sides),
        *(_module(path, sides) for path in modules),
        "</section></main>",
    ]
    return _document(f"{notebook.path.name}: its conversion", "\n".join(each for each in body if each))


def is_foreign(path: Path) -> bool:
    """Whether a file that is no page of ours stands where the page belongs."""
    return path.is_file() and MARK not in path.read_text(encoding="utf-8", errors="replace")


def _notebooks(notebook: Notebook, scoring: Notebook | None) -> list[tuple[Notebook, str]]:
    return [(notebook, "c"), *([(scoring, "s")] if scoring else [])]


def _document(title: str, body: str) -> str:
    style, script = (each.read_text(encoding="utf-8") for each in (_STYLE, _SCRIPT))
    policy = f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; base-uri 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}; form-action \'none\'">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{MARK}\n<title>{_shown(title)}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _shown(text: str) -> str:
    return escaped(credentials.masked(text))


@dataclass(frozen=True)
class _Sides:
    """What links the two sides: the decisions, and the places in the project's files that hold them."""

    decisions: Sequence[Decision]
    modules: Mapping[str, str]
    links: Mapping[linking.Place, Sequence[int]]
    functions: Mapping[str, linking.Place]

    def line_id(self, place: linking.Place) -> str:
        """Return the id of a line of the project."""
        return f"p{list(self.modules).index(place[0])}-{place[1]}"

    def home(self, index: int) -> linking.Place | None:
        """Return the first line of the project that holds a decided statement, or the head of its function."""
        held = sorted(place for place, indices in self.links.items() if index in indices)
        first = next(iter(sorted(held, key=lambda each: each[0] == PARAMETERS_FILE)), None)
        return first or self.functions.get(self.decisions[index].function)

    def told(self, index: int) -> str:
        """Return in a few words what became of a statement."""
        decision = self.decisions[index]
        if decision.fate is Fate.REMOVED:
            return f"removed: {decision.reason}"
        if decision.fate is Fate.REPORT:
            return f"report: {f'{decision.function}()' if decision.function else decision.reason}"
        if decision.fate is not Fate.KEPT:
            return decision.reason
        where = f"{decision.function}()" if decision.function else decision.reason
        return " · ".join([where, *self.parameters(index)])

    def parameters(self, index: int) -> list[str]:
        """Return the parameters that values of a statement became."""
        lines = self.modules.get(PARAMETERS_FILE, "").splitlines()
        places = [line for (path, line), held in self.links.items() if path == PARAMETERS_FILE and index in held]
        return [lines[each - 1].partition("=")[0].strip() for each in places]


def _anchors(notebook: Notebook, sides: _Sides) -> dict[str, str]:
    """Return what the proof's names and places link to."""
    cells = {f"cell {each.number}": f"c{each.number}" for each in notebook.cells}
    return cells | {name: sides.line_id(place) for name, place in sides.functions.items()}


# --- findings and filters ---


def _findings(found: Iterable[Finding], title: str = "") -> str:
    items = [
        f"<li><b>{_shown(each.code)}</b> {f'line {each.line}: ' if each.line else ''}{_shown(each.message)}"
        f" <span>Fix: {_shown(each.fix)}</span></li>"
        for each in found
    ]
    head = f"<h2>{title}</h2>" if title else ""
    return f'<section class="findings">{head}<ul>{"".join(items)}</ul></section>' if items else ""


def _filters(counts: Mapping[Fate, int]) -> str:
    choices = [("all", "everything"), *((each, f"{_WORDS[each]} only <span>{counts[each]}</span>") for each in counts)]
    buttons = "".join(
        f'<button type="button" data-show="{name}" aria-pressed="{str(name == "all").lower()}">{label}</button>'
        for name, label in choices
    )
    keys = "<kbd>↑</kbd> <kbd>↓</kbd> go from statement to statement, <kbd>Enter</kbd> to the other side"
    return f'<nav class="filters" aria-label="Statements shown"><h2>Line by line</h2>{buttons}<p>{keys}</p></nav>'


# --- the notebook's side ---


def _notebook(notebook: Notebook, sides: _Sides, findings: Sequence[Finding], prefix: str) -> str:
    name = notebook.path.name
    parts = [f'<h2 class="file">{_shown(name)}</h2>']
    section: tuple[str, ...] = ()
    for cell in notebook.cells:
        new = [
            (level, text)
            for level, text in enumerate(cell.section)
            if section[: level + 1] != cell.section[: level + 1]
        ]
        parts += [f'<h3 class="level{min(level, 3)}">{_shown(text)}</h3>' for level, text in new]
        section = cell.section
        mine = [each for each in findings if each.notebook == name and each.cell == cell.number]
        parts.append(_cell(name, cell, sides, mine, prefix))
    return "\n".join(parts)


def _cell(notebook: str, cell: Cell, sides: _Sides, findings: Sequence[Finding], prefix: str) -> str:
    held = _held(notebook, cell, sides)
    gave = {line for line, indices in held.items() if any(map(sides.parameters, indices))}
    fates = sorted({sides.decisions[each].fate for indices in held.values() for each in indices})
    fates = sorted({*fates, *([Fate.PARAMETER] if gave else [])})
    source, code = _lines(cell.source), _lines(cell.code)
    if cell.code and len(source) != len(code):
        source = code  # the code of a file that the cell runs stands in its place
    coloured = highlighted("\n".join(code)) if len(code) == len(source) else []
    tags = _tags(held, sides)
    lines = []
    for number, text in enumerate(source, start=1):
        is_same = bool(coloured) and code[number - 1] == text
        indices = held.get(number, [])
        fate = sides.decisions[indices[-1]].fate if indices else ""
        content = coloured[number - 1] if is_same and fate != Fate.REMOVED else escaped(text)
        kind = f"{fate} gave" if number in gave else fate
        lines.append(_line(str(number), content, indices, kind, tags.get(number, "")))
    has = " ".join(f"has-{each}" for each in fates)
    return (
        f'<article class="cell {has}" id="{prefix}{cell.number}"><h4>cell {cell.number}</h4>'
        f"{_findings(findings)}{''.join(lines)}</article>"
    )


def _lines(code: str) -> list[str]:
    """Return the lines of a text without the credentials in it."""
    lines = code.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    masked = credentials.masked("\n".join(lines)).split("\n")
    if len(masked) == len(lines):
        return masked
    known = set(masked)
    return [each if each in known else credentials.MASK for each in lines]


def _held(notebook: str, cell: Cell, sides: _Sides) -> dict[int, list[int]]:
    """Return the decisions on each line of a cell, a removal first where there is something else too."""
    held: dict[int, list[int]] = {}
    for index, each in enumerate(sides.decisions):
        if (each.notebook, each.cell) == (notebook, cell.number):
            for line in range(each.line, each.line + each.source.count("\n") + 1):
                held.setdefault(line, []).append(index)
    return {
        line: sorted(indices, key=lambda each: sides.decisions[each].fate is not Fate.REMOVED)
        for line, indices in held.items()
    }


def _tags(held: Mapping[int, Sequence[int]], sides: _Sides) -> dict[int, str]:
    """Return what is said beside a line: what became of it, where that is not what is said above already."""
    tags: dict[int, str] = {}
    before: list[str] = []
    for line in sorted(held):
        told = {sides.told(each): each for each in reversed(held[line])}
        if list(told) != before:
            tags[line] = "".join(_tag(words, sides, index) for words, index in reversed(told.items()))
        before = list(told)
    return tags


def _tag(words: str, sides: _Sides, index: int) -> str:
    home = sides.home(index)
    shown = _shown(words)
    return f'<a href="#{sides.line_id(home)}">{shown}</a>' if home else f"<span>{shown}</span>"


def _line(number: str, content: str, indices: Sequence[int], fate: str, tag: str, name: str = "") -> str:
    held = f' data-s="{" ".join(map(str, indices))}"' if indices else ""
    place = f' id="{name}"' if name else ""
    kind = f"line {fate}".strip()
    tags = f'<span class="tags">{tag}</span>' if tag else ""
    return f'<div class="{kind}"{place}{held}><span class="n">{number}</span><code>{content}\n</code>{tags}</div>'


# --- the project's side ---


def _contents(sides: _Sides) -> str:
    links = "".join(
        f'<a href="#{sides.line_id((path, 0))}">{_shown(path.rpartition("/")[2])}</a>' for path in sides.modules
    )
    return f'<nav class="contents" aria-label="Files">{links}</nav>'


def _module(path: str, sides: _Sides) -> str:
    text = sides.modules[path].rstrip("\n")
    lines = _lines(text)
    coloured = highlighted("\n".join(lines)) if path.endswith(".py") else [escaped(each) for each in lines]
    rows = []
    before: object = None
    for number, content in enumerate(coloured, start=1):
        indices = sides.links.get((path, number), [])
        cells = list(dict.fromkeys((sides.decisions[each].notebook, sides.decisions[each].cell) for each in indices))
        tag = _origin(cells, sides) if cells and cells != before else ""
        before = cells
        fate = sides.decisions[indices[0]].fate if indices else ""
        fate = Fate.PARAMETER if indices and path == PARAMETERS_FILE else fate
        rows.append(_line(str(number), content, indices, fate, tag, sides.line_id((path, number))))
    is_open = " open" if len(lines) > 1 else ""
    head = f'<summary id="{sides.line_id((path, 0))}">{_shown(path)}</summary>'
    return f'<details class="source"{is_open}>{head}{"".join(rows)}</details>'


def _origin(cells: Sequence[tuple[str, int]], sides: _Sides) -> str:
    training = sides.decisions[0].notebook
    return "".join(
        f'<a href="#c{cell}">cell {cell}</a>' if notebook == training else f'<a href="#s{cell}">scoring cell {cell}</a>'
        for notebook, cell in cells
    )
