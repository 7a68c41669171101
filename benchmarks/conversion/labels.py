"""What a person says is exploration in a notebook, and how well a conversion's removals agree with it.

    python benchmarks/conversion/labels.py show SLUG                      the statements of a notebook, numbered
    python benchmarks/conversion/labels.py make SLUG [[?]NUMBER[-TO]]     write labels: these are exploration, ?: either
    python benchmarks/conversion/labels.py score                          precision and recall over all labels

A label file is `labels/SLUG.json`, a list of `{"cell", "lines", "label"}` for each top-level statement: the cell
counted among cells of code from one, its first and last line, "exploration", "keep" or "either" (not scored). Keep
is what a fitted model that matters, a value that depends on a model's answer, or a written file needs, and these
themselves; exploration is what shows shapes, heads, descriptions, plots and raw data, and what only that needs.
Imports and magics are not labelled. Labels are made from the notebook alone, before any conversion of it was looked at.

Removed is what is left out, and plots that are only in the optional report; not a line that prints a metric which the
program prints in its own way.
"""

import argparse
import ast
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import corpus
from corpus import Entry
from observing import Cell
from removals import Removed

_LABELS = Path(__file__).with_name("labels")
_MAGIC = re.compile(r"^\s*[%!?]|^\s*[\w.]+\?+\s*$")
_IMPORTS = ast.Import | ast.ImportFrom


@dataclass(frozen=True)
class Statement:
    """A top-level statement of a notebook: its cell among those of code, its lines and its source."""

    cell: int
    first: int
    last: int
    source: str


def cells(notebook: Path) -> list[Cell]:
    """Return the cells of code of a notebook that are not empty."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    listed = content["cells"] if "cells" in content else content["worksheets"][0]["cells"]
    found: list[Cell] = []
    code_place = 0
    for place, each in enumerate(listed, 1):
        if each["cell_type"] == "code":
            code_place += 1
            source = each.get("source", each.get("input", ""))
            source = source if isinstance(source, str) else "".join(source)
            if source.strip():
                found.append(Cell(len(found) + 1, place, code_place, source))
    return found


def statements(notebook: Path) -> list[Statement]:
    """Return the statements to label: all but imports and magics."""
    found = []
    for cell in cells(notebook):
        lines = cell.source.splitlines()
        plain = "\n".join("pass" if _MAGIC.search(line) else line for line in lines)
        try:
            body = ast.parse(plain).body
        except SyntaxError:
            continue
        for node in body:
            if not isinstance(node, _IMPORTS | ast.Pass):
                last = node.end_lineno or node.lineno
                source = "\n".join(lines[node.lineno - 1 : last])
                found.append(Statement(cell.code_place, node.lineno, last, source))
    return found


def make(entry: Entry, chosen: list[str]) -> None:
    """Write the labels of a notebook: exploration for the statements of these numbers, keep for all others.

    Numbers that begin with `?` may be either: nothing shown depends on them, or the rule does not decide.
    """
    named: dict[int, str] = {}
    for each in chosen:
        begin, _, end = each.lstrip("?").partition("-")
        label = "either" if each.startswith("?") else "exploration"
        named |= dict.fromkeys(range(int(begin), int(end or begin) + 1), label)
    rows = [
        json.dumps(
            {
                "cell": each.cell,
                "lines": [each.first, each.last],
                "label": named.get(number, "keep"),
            }
        )
        for number, each in enumerate(statements(entry.notebook), 1)
    ]
    _LABELS.mkdir(exist_ok=True)
    (_LABELS / f"{entry.slug}.json").write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")
    print(f"{entry.slug}: {len(rows)} statements, {list(named.values()).count('exploration')} of them exploration")


def score(entry: Entry, result: dict[str, Any]) -> dict[str, Any] | None:
    """Return how the removals of a conversion agree with the labels; None if there was no conversion."""
    conversion = result.get("conversion") or {}
    if "removals" not in conversion:
        return None
    labels = json.loads((_LABELS / f"{entry.slug}.json").read_text(encoding="utf-8"))
    known = cells(entry.notebook)
    removed = Removed(known, [each for each in conversion["decisions"] if _is_out_of_training(each)])
    run = {each.code_place: each.run for each in known}
    source = {(each.cell, each.first): each.source.splitlines()[0] for each in statements(entry.notebook)}
    both, wrong, missed = [], [], []
    for each in [one for one in labels if one["label"] != "either"]:
        place = (each["cell"], each["lines"][0])
        is_removed = removed.has(run[place[0]], place[1])
        is_exploration = each["label"] == "exploration"
        text = f"cell {place[0]}, line {place[1]}: {source.get(place, '')}"
        if is_removed and is_exploration:
            both.append(text)
        elif is_removed:
            wrong.append(text)
        elif is_exploration:
            missed.append(text)
    return {"right": len(both), "removed_wrongly": wrong, "left_in": missed}


def _is_out_of_training(decision: dict[str, Any]) -> bool:
    """Say whether a statement is no part of training, nor what it prints."""
    is_replaced = decision["reason"].endswith("main() prints it instead")
    return decision["fate"] in {"removed", "report"} and not is_replaced


def _score_all(entries: list[Entry], out: Path) -> None:
    right = wrong = missed = count = 0
    for entry in entries:
        result = out / f"{entry.slug}.json"
        if not (_LABELS / f"{entry.slug}.json").exists() or not result.exists():
            continue
        found = score(entry, json.loads(result.read_text(encoding="utf-8")))
        if found is None:
            print(f"{entry.slug}: no conversion")
            continue
        count += 1
        right += found["right"]
        wrong += len(found["removed_wrongly"])
        missed += len(found["left_in"])
        print(f"{entry.slug}: right {found['right']}")
        for name in ("removed_wrongly", "left_in"):
            for each in found[name]:
                print(f"    {name.replace('_', ' ')}: {each}")
    print(f"{count} notebooks: precision {_ratio(right, right + wrong)}, recall {_ratio(right, right + missed)}")


def _ratio(count: int, total: int) -> str:
    return f"{count / total:.3f} ({count} of {total})" if total else "-"


def main() -> None:
    """Show, write or score labels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scratch = Path("/tmp") / "wright-conversion"  # noqa: S108 - where run.py keeps results
    parser.add_argument("what", choices=["show", "make", "score"])
    parser.add_argument("slug", nargs="?")
    parser.add_argument("numbers", nargs="*")
    parser.add_argument("--corpus", help="index.json of the corpus; else the variable MODELWRIGHT_CORPUS")
    parser.add_argument("--out", type=Path, default=scratch / "results", help="the folder of run.py's results")
    arguments = parser.parse_args()
    entries = corpus.read(corpus.index_path(arguments.corpus), [arguments.slug] if arguments.slug else None)
    if arguments.what == "score":
        _score_all(entries, arguments.out)
        return
    if len(entries) != 1:
        sys.exit(f"{len(entries)} notebooks have {arguments.slug!r} in their slug; name one")
    if arguments.what == "make":
        make(entries[0], arguments.numbers)
        return
    for number, each in enumerate(statements(entries[0].notebook), 1):
        print(f"{number:>3}  [{each.cell}:{each.first}] " + each.source.replace("\n", "\n       "))


if __name__ == "__main__":
    main()
