"""The page of an explanation: importances, or the parts of single rows, as bars in one HTML file.

It needs no network, no script and no other file; what was written by others, such as names of columns, is escaped.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelwright.projects.highlighting import escaped
from modelwright.records import Explanation

_STYLE = Path(__file__).with_name("page.css")
_SHOWN_ROWS = 100
_WORDS = {
    "linear": "exact: coefficient times distance from the mean of the background",
    "trees": "exact: shap's TreeExplainer, over the rows that the trees count in their nodes",
    "subsets": "exact for the background: every subset of the columns",
    "sampled": "sampled: the mean change that a column makes, over orders drawn at random",
}


def render(explanation: Explanation, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the page; `rows` are the rows' values, of which a local explanation shows each."""
    result = explanation.result
    if explanation.is_local:
        parts = [_row(result, each, number) for number, each in enumerate(rows[:_SHOWN_ROWS], start=1)]
    else:
        parts = [_importances(result), _spread(result, rows)]
    body = "\n".join([_head(explanation), *parts, _notes(result)])
    return _document(f"{explanation.version}: explanation", body)


def _document(title: str, body: str) -> str:
    style = _STYLE.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _head(explanation: Explanation) -> str:
    result, sum_of = explanation.result, explanation.result["additivity"]
    background, explained = result["background"], result["explained"]
    verb = "add" if sum_of["holds"] else "do NOT add"
    told = f"{verb} up to the output, within {sum_of['residual']:.1g} of the largest part"
    facts = [
        ("method", _WORDS[explanation.method]),
        ("by", result["source"]),
        ("output", f"{result['output']}: {', '.join(result['outputs'])}"),
        ("base", ", ".join(f"{each:.6g}" for each in result["base"])),
        ("background", background["place"] + (f", {background['rows']:,} rows" if "rows" in background else "")),
        ("explained", f"{explained['place']}, {explained['rows']:,} of {explained['of']:,} rows"),
        ("made", explanation.created_at.isoformat(timespec="seconds")),
    ]
    listed = "".join(f"<div><dt>{name}</dt><dd>{escaped(str(value))}</dd></div>" for name, value in facts)
    kind = "good" if sum_of["holds"] else "bad"
    what = "of single rows" if explanation.is_local else "of the model as a whole"
    return (
        f"<header><h1>{escaped(explanation.version)} <span>explained, {what}</span></h1>"
        f'<p class="verdict {kind}">Base and values of every row {told}.</p><dl>{listed}</dl></header>'
    )


def _importances(result: Mapping[str, Any]) -> str:
    measured = result["permutation"]
    most = max((each["mean"] for each in result["importances"]), default=0.0) or 1.0
    drops = [each["mean"] for each in measured["columns"].values()] if measured else []
    most_drop = max([*drops, 0.0]) or 1.0
    lines = []
    for each in result["importances"]:
        cells = [f"<td>{each['rank']}</td><th>{escaped(each['column'])}</th>"]
        cells.append(f"<td>{_bar(each['mean'] / most, 'value')}</td><td>{each['mean']:.6g}</td>")
        if measured:
            drop = measured["columns"][each["column"]]
            cells.append(f"<td>{_bar(max(drop['mean'], 0) / most_drop, 'drop')}</td>")
            cells.append(f"<td>{drop['mean']:.4f} <small>± {drop['deviation']:.4f}</small></td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    heads = '<th></th><th>column</th><th colspan="2">mean absolute value</th>'
    if measured:
        score = f"{measured['score']} {measured['value']:.4g}"
        heads += f'<th colspan="2">drop of {escaped(score)} when shuffled {measured["repeats"]} times</th>'
    return f"<section><h2>What counts</h2><table><thead><tr>{heads}</tr></thead>{''.join(lines)}</table></section>"


def _spread(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return each column's values in all rows, as marks on a line; for several outputs, of the first that counts."""
    totals = [sum(each["by_output"][number] for each in result["importances"]) for number in range(len(result["base"]))]
    chosen = totals.index(max(totals))
    places = {name: number for number, name in enumerate(result["columns"])}
    most = max((abs(each["values"][number][chosen]) for each in rows for number in places.values()), default=0.0) or 1.0
    lines = []
    for each in result["importances"][:20]:
        number = places[each["column"]]
        values = [row["values"][number][chosen] for row in rows[:1000]]
        marks = "".join(
            f'<circle cx="{300 + 290 * value / most:.1f}" cy="{12 + (index * 7) % 9 - 4}" r="2.5" fill="currentColor"/>'
            for index, value in enumerate(values)
        )
        line = f'<svg viewBox="0 0 600 24" role="img"><line x1="300" x2="300" y1="0" y2="24"/>{marks}</svg>'
        lines.append(f"<tr><th>{escaped(each['column'])}</th><td>{line}</td></tr>")
    name = escaped(result["outputs"][chosen])
    rule = f"Left of the line a column lowers {name}, right of it raises it, by at most {most:.4g}."
    head = f"<h2>Every row</h2><p>{rule}</p>"
    return f'<section class="spread">{head}<table>{"".join(lines)}</table></section>'


def _row(result: Mapping[str, Any], row: Mapping[str, Any], number: int) -> str:
    tables = []
    for place, name in enumerate(result["outputs"]):
        parts = sorted(
            zip((each[place] for each in row["values"]), result["columns"], row["cells"], strict=True),
            key=lambda each: -abs(each[0]),
        )
        most = abs(parts[0][0]) if parts else 0.0
        lines = "".join(
            f"<tr><th>{escaped(column)}</th><td>{escaped(str(cell))}</td>"
            f"<td>{_signed(value / (most or 1.0))}</td><td>{value:+.6g}</td></tr>"
            for value, column, cell in parts
        )
        head = f"{escaped(name)} {row['output'][place]:.6g} = base {result['base'][place]:.6g} and"
        tables.append(f"<h3>{head}</h3><table>{lines}</table>")
    return f"<section><h2>Row {number}</h2>{''.join(tables)}</section>"


def _notes(result: Mapping[str, Any]) -> str:
    items = "".join(f"<li>{escaped(each)}</li>" for each in result["notes"])
    return f"<section><h2>Good to know</h2><ul>{items}</ul></section>" if items else ""


def _bar(part: float, kind: str) -> str:
    width = max(0.0, min(1.0, part)) * 240
    bar = f'<rect width="{width:.1f}" height="14" rx="2" fill="currentColor"/>'
    return f'<svg viewBox="0 0 240 14" class="{kind}" role="img">{bar}</svg>'


def _signed(part: float) -> str:
    width = min(1.0, abs(part)) * 120
    start, kind = (120.0, "raises") if part > 0 else (120.0 - width, "lowers")
    return (
        f'<svg viewBox="0 0 240 14" class="{kind}" role="img"><line x1="120" x2="120" y1="0" y2="14"/>'
        f'<rect x="{start:.1f}" width="{width:.1f}" height="14" rx="2" fill="currentColor"/></svg>'
    )
