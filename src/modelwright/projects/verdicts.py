"""A proof as HTML: what it comes to, and every result of the notebook beside the project's."""

import math
import pprint
from collections.abc import Mapping

from modelwright.notebooks import credentials
from modelwright.projects.highlighting import escaped
from modelwright.records import Comparison, Proof

# A value longer than this is folded, and one longer than that is cut.
_LINE = 70
_LIMIT = 6000
# So many equal results are shown without being asked for.
_FEW = 12


def verdict(proof: Proof | None, tests: str | None) -> str:
    """Return the sentence that tells whether the project does what the notebook does, and how its own tests went."""
    if proof is None:
        kind, word, told = "open", "Not proven", "the project has not been compared with its notebook."
    elif proof.is_equal:
        kind, word = "equal", "Proven equal"
        told = f"all {len(proof.comparisons)} results of the project are those of the notebook."
    elif not proof.comparisons:
        kind, word, told = "open", "Not proven", "the notebook gives no result that could be compared."
    else:
        differing = sum(not each.is_equal for each in proof.comparisons)
        kind, word = "different", "Different"
        told = f"{differing} of {len(proof.comparisons)} results of the project are not those of the notebook."
    when = ""
    if proof:
        moment = proof.created_at.strftime("%Y-%m-%d %H:%M UTC")
        when = f" Compared on {moment}, under Python {escaped(proof.python_version)}."
    ran = f" Its own tests: {escaped(credentials.masked(tests))}." if tests else ""
    return f'<p class="verdict {kind}"><strong>{word}</strong>: {told}{when}{ran}</p>'


def table(proof: Proof, anchors: Mapping[str, str]) -> str:
    """Return all comparisons, those that differ first; `anchors` are what functions and cells link to."""
    differing = [each for each in proof.comparisons if not each.is_equal]
    equal = [each for each in proof.comparisons if each.is_equal]
    parts = ['<section class="proof"><h2>Proof</h2>']
    if differing:
        parts.append(_rows(differing, anchors))
    if equal:
        is_open = " open" if len(equal) <= _FEW else ""
        noun = "result is" if len(equal) == 1 else "results are"
        parts.append(f"<details{is_open}><summary>{len(equal)} {noun} equal</summary>{_rows(equal, anchors)}</details>")
    if not proof.comparisons:
        parts.append("<p>There was nothing to compare.</p>")
    return "".join([*parts, "</section>"])


def _rows(found: list[Comparison], anchors: Mapping[str, str]) -> str:
    heads = "".join(
        f'<th scope="col">{each}</th>'
        for each in ("", "kind", "result", "notebook", "project", "difference", "notebook's own noise")
    )
    return (
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>'
        + "".join(_row(each, anchors) for each in found)
        + "</tbody></table></div>"
    )


def _row(one: Comparison, anchors: Mapping[str, str]) -> str:
    is_same = repr(one.notebook) == repr(one.project)
    cells = [
        '<td class="yes">✓ equal</td>' if one.is_equal else '<td class="no">✗ different</td>',
        f"<td>{escaped(one.kind)}</td>",
        f'<th scope="row">{_name(one, anchors)}</th>',
        f"<td>{_value(one.notebook)}</td>",
        '<td class="same">the same</td>' if is_same else f"<td>{_value(one.project)}</td>",
        f"<td>{_apart(one)}</td>",
        f"<td>{f'{one.noise:.2g}' if one.noise else 'none'}</td>",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _name(one: Comparison, anchors: Mapping[str, str]) -> str:
    target = anchors.get((one.place or one.name).partition(",")[0]) or anchors.get(one.name.partition(".")[0])
    shown = escaped(credentials.masked(one.name))
    return f'<a href="#{target}">{shown}</a>' if target else shown


def _apart(one: Comparison) -> str:
    if one.notebook is None or one.project is None:
        return "only one side has it"
    if one.difference == 0:
        return "none"
    return f"{one.difference:.2g}" if math.isfinite(one.difference) else "not to be measured"


def _value(value: object) -> str:
    if value is None:
        return "<em>nothing</em>"
    plain = value if isinstance(value, str) else repr(value)
    plain = credentials.masked(plain.strip("\n"))
    if len(plain) <= _LINE and "\n" not in plain:
        return f"<code>{escaped(plain)}</code>"
    first = plain.strip().partition("\n")[0][:_LINE]
    whole = plain
    if not isinstance(value, str) and len(plain) <= 4 * _LIMIT:
        whole = credentials.masked(pprint.pformat(value, width=76, compact=True, sort_dicts=False))
    cut = f"\n… and {len(whole) - _LIMIT:,} characters more" if len(whole) > _LIMIT else ""
    return (
        f"<details><summary><code>{escaped(first)}…</code></summary><pre>{escaped(whole[:_LIMIT])}{cut}</pre></details>"
    )
