"""`wright model explain`: how much each column adds to what a version puts out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelwright.cli import output

if TYPE_CHECKING:
    from modelwright.records import Explanation

_SHOWN = 20
_SHOWN_ROWS = 10
_BAR = 30


@click.command()
@click.argument("reference", metavar="MODEL:VERSION")
@click.option(
    "--row", "rows", type=click.Path(path_type=Path), help="Explain the rows of a request (JSON) or a CSV file."
)
@click.option("--data", metavar="FILE|DATASET:VERSION", help="Rows to use instead of those of the version's run.")
@click.option("--target", metavar="COLUMN", help="The column of the data that is predicted.")
@click.option("--repeats", type=click.IntRange(1, 1000), default=5, show_default=True, help="Shuffles of each column.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of what is drawn.")
@click.option("--fresh", is_flag=True, help="Compute it anew, although it is known.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a page that shows it.")
@output.why_option
@output.json_option
def explain(  # noqa: PLR0913 - one argument for each option
    reference: str,
    rows: Path | None,
    data: str | None,
    target: str | None,
    repeats: int,
    seed: int,
    html: Path | None,
    why: str,
    *,
    fresh: bool,
    as_json: bool,
) -> int:
    """Say how much each column adds to what MODEL:VERSION puts out; exit 1 when the parts do not add up.

    Of the model as a whole, with the rows that its run trained and tested it on, or with --row of single rows. The
    answer is kept with the version, and given at once when the same is asked again.
    """
    from modelwright.lifecycle import explaining
    from modelwright.lifecycle.explaining import Wish

    wish = Wish(rows=rows, data=data, target=target, seed=seed, repeats=repeats, is_fresh=fresh)
    with output.session(is_silent=as_json, why=why) as session:
        found = explaining.explain(session, reference, wish)
        values = explaining.values_of(session.store, found) if html or found.is_local else []
    if html:
        _write_page(html, found, values)
    if as_json:
        output.show_json({"explanation": found, "rows": values} if found.is_local else {"explanation": found})
    else:
        show(found, values)
        if html:
            click.echo(f"page: {html}")
    return 0 if found.holds else 1


def summary(found: "Explanation | None") -> list[tuple[str, object]]:
    """Return the fields that `wright model show` tells of a version's latest explanation."""
    if found is None:
        return []
    first = ", ".join(each["column"] for each in found.result["importances"][:3])
    told = f"{found.id}, {output.moment(found.created_at)}: {first} count most ({found.method})"
    return [("explanation", told)]


def show(found: "Explanation", values: list[dict[str, Any]]) -> None:
    """Print an explanation."""
    result = found.result
    background = result["background"]
    counted = f", {background['rows']} of {background['of']} rows" if "rows" in background else ""
    explained = result["explained"]
    output.show_fields(
        [
            ("version", found.version),
            ("explanation", found.id),
            ("method", f"{found.method}, by {result['source']}"),
            ("output", f"{result['output']}: {', '.join(result['outputs'])}"),
            ("background", f"{background['place']}{counted}"),
            ("explained", f"{explained['place']}, {explained['rows']} of {explained['of']} rows"),
            ("base", ", ".join(f"{each:.6g}" for each in result["base"])),
            ("adds up", _additivity(result)),
            *(("note", each) for each in result["notes"]),
        ]
    )
    if found.is_local:
        for number, each in enumerate(values[:_SHOWN_ROWS], start=1):
            _show_row(result, each, number)
        if len(values) > _SHOWN_ROWS:
            click.echo(f"{len(values) - _SHOWN_ROWS} more rows: --json")
    else:
        _show_importances(result)


def _additivity(result: dict[str, Any]) -> str:
    told = result["additivity"]
    rule = f"to {told['residual']:.1g} of the largest part, {told['tolerance']:.0e} is allowed"
    return rule if told["holds"] else f"NO: only {rule}"


def _show_importances(result: dict[str, Any]) -> None:
    measured = result["permutation"]
    if measured:
        click.echo(f"{measured['score']} {measured['value']:.6g} on {measured['rows']} rows with {measured['labels']}")
    most = max((each["mean"] for each in result["importances"]), default=0.0) or 1.0
    output.show_table(
        ("", "column", "mean |value|", "", *(("drop of the score when shuffled",) if measured else ())),
        [
            (
                each["rank"],
                each["column"],
                f"{each['mean']:.6g}",
                "█" * round(_BAR * each["mean"] / most) or "▏",
                *((_drop(measured["columns"][each["column"]]),) if measured else ()),
            )
            for each in result["importances"][:_SHOWN]
        ],
        empty="the model has no columns",
    )
    if len(result["importances"]) > _SHOWN:
        click.echo(f"{len(result['importances']) - _SHOWN} more columns: --json")


def _drop(measured: dict[str, float]) -> str:
    return f"{measured['mean']:.4f} ± {measured['deviation']:.4f}"


def _show_row(result: dict[str, Any], row: dict[str, Any], number: int) -> None:
    """Print one row: for several outputs, the largest."""
    chosen = max(range(len(row["output"])), key=lambda each: row["output"][each])
    name, base = result["outputs"][chosen], result["base"][chosen]
    probability = row.get("probabilities", {}).get(name)
    aside = "" if probability is None else f" (probability {probability:.4g})"
    click.echo(f"row {number}: {name} {row['output'][chosen]:.6g}{aside} = base {base:.6g} and")
    parts = [
        (each[chosen], column, cell)
        for each, column, cell in zip(row["values"], result["columns"], row["cells"], strict=True)
    ]
    parts.sort(key=lambda each: -abs(each[0]))
    most = abs(parts[0][0]) or 1.0
    output.show_table(
        ("column", "is", "adds", ""),
        [
            (column, cell, f"{value:+.6g}", ("█" if value > 0 else "░") * round(_BAR * abs(value) / most))
            for value, column, cell in parts[:_SHOWN]
        ],
        empty="the model has no columns",
    )


def _write_page(path: Path, found: "Explanation", values: list[dict[str, Any]]) -> None:
    from modelwright.errors import FolderNotWritable
    from modelwright.models.explanation import page

    try:
        path.write_text(page.render(found, values), encoding="utf-8")
    except OSError as error:
        raise FolderNotWritable(folder=path, reason=error.strerror or error, option="--html") from error
