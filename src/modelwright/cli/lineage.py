"""`wright why` and `wright impact`: what something came of, and what came of it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright.cli import output
from modelwright.errors import FolderNotWritable
from modelwright.records import NodeKind

if TYPE_CHECKING:
    from modelwright.records import Key, Lineage, Node

_REASONED = ("model", "run", "endpoint", "deployment", "dataset", "environment", "pipeline", "prediction")
_USED = ("dataset", "run", "environment", "snapshot", "commit", "notebook", "model", "pipeline")
# What is printed below a node first.
_ORDER = (
    NodeKind.ENDPOINT,
    NodeKind.DEPLOYMENT,
    NodeKind.MODEL,
    NodeKind.RUN,
    NodeKind.VERDICT,
    NodeKind.PROOF,
    NodeKind.PIPELINE,
    NodeKind.STEP,
    NodeKind.DATASET,
    NodeKind.SNAPSHOT,
    NodeKind.COMMIT,
    NodeKind.ENVIRONMENT,
    NodeKind.FUNCTION,
    NodeKind.CELL,
)
# What depends on a thing, in the order in which it is told of; a snapshot or a step is only on the way there.
_LISTED = {
    NodeKind.ENDPOINT: "endpoint",
    NodeKind.ALIAS: "alias",
    NodeKind.MODEL: "version",
    NodeKind.DEPLOYMENT: "deployment",
    NodeKind.RUN: "run",
    NodeKind.PIPELINE: "pipeline",
    NodeKind.PROOF: "proof",
    NodeKind.FUNCTION: "function",
}
_WIDE = 240
_html = click.option(
    "--html", "page", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: a page."
)
_svg = click.option(
    "--svg", "drawing", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Draw it: a picture."
)


@click.command()
@click.argument("what", nargs=-1, metavar="[KIND] NAME")
@click.option("--all", "is_all", is_flag=True, help="Follow the chains of all versions and tell where one breaks.")
@_html
@_svg
@output.json_option
def why(what: tuple[str, ...], *, is_all: bool, page: Path | None, drawing: Path | None, as_json: bool) -> int:
    """Tell what NAME came of, to the notebook's cell and the data's digest.

    NAME is the id of an answered request, a model version (churn:3, churn@champion) or a run. KIND says what else is
    meant: endpoint (what it serves now), deployment, dataset, environment or pipeline. With --all, exit 1 when the
    chain of any version is broken.
    """
    from modelwright.lifecycle import lineage

    if is_all:
        if what or page or drawing:
            raise click.UsageError("--all stands alone")  # noqa: TRY003, EM101 - click's way
        return _check(as_json=as_json)
    kind, name = _named(what, _REASONED)
    with output.opened_store() as store, output.progress("searching what was captured", is_silent=as_json) as told:
        found = lineage.why(store, name, kind=kind, on_file=told)
    _draw(found, page, drawing)
    if as_json:
        output.show_json(lineage.as_json(found))
    else:
        _show_tree(found)
    return 0


@click.command()
@click.argument("kind", type=click.Choice(_USED))
@click.argument("name")
@_html
@_svg
@output.json_option
def impact(kind: str, name: str, *, page: Path | None, drawing: Path | None, as_json: bool) -> None:
    """Tell what depends on a thing: runs, versions, aliases, endpoints live and stopped.

    NAME is a reference (sales:3, churn:2), a run's id, the beginning of a commit or digest, or a notebook's path, with
    `:3` for its third cell.
    """
    from modelwright.lifecycle import lineage

    with output.opened_store() as store:
        found = lineage.impact(store, NodeKind(kind), name)
    _draw(found, page, drawing)
    if as_json:
        counts = {kind: len(found.of_kind(kind)) for kind in _LISTED}
        output.show_json(lineage.as_json(found) | {"counts": counts, "endpoints": lineage.live_endpoints(found)})
    else:
        _show_users(found)


def _named(what: tuple[str, ...], kinds: tuple[str, ...]) -> tuple[NodeKind | None, str]:
    match what:
        case (name,):
            return None, name
        case (kind, name) if kind in kinds:
            return NodeKind(kind), name
        case (kind, _):
            told = f'"{kind}" is not one of {", ".join(kinds)}'
        case _:
            told = "name one thing, such as churn:3, or a kind and a name, such as endpoint churn"
    raise click.UsageError(told)


def _check(*, as_json: bool) -> int:
    from modelwright.lifecycle import lineage

    with output.opened_store() as store, output.progress("following chains", is_silent=as_json) as told:
        count, gaps = lineage.check(store, on_version=told)
    if as_json:
        output.show_json(
            {"versions": count, "gaps": [{"key": "/".join(each.node), "missing": each.missing} for each in gaps]}
        )
    else:
        for each in gaps:
            click.echo(f"{each.node.kind} {each.node.id}: {each.missing}")
        broken = _counted(len(gaps), "broken chain") if gaps else "no broken chain"
        click.echo(f"{_counted(count, 'version')}, {broken}")
    return 1 if gaps else 0


def _draw(found: "Lineage", page: Path | None, drawing: Path | None) -> None:
    from modelwright.lifecycle import charting

    for path, render in ((page, charting.page), (drawing, charting.picture)):
        if path is not None:
            try:
                path.write_text(render(found), encoding="utf-8")
            except OSError as error:
                raise FolderNotWritable(folder=path.parent, reason=error.strerror, option="--html or --svg") from error
            click.echo(f"drawn: {path}", err=True)


def _show_tree(found: "Lineage") -> None:
    """Print what the root came of, each thing below what came of it."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    from modelwright.lifecycle import describing

    above = found.above()
    shown: set[Key] = set()
    whole = Tree("", hide_root=True)
    waiting = [(found.root, "", whole)]
    while waiting:  # chains of versions may be longer than Python lets functions call themselves
        key, role, tree = waiting.pop()
        node = found.nodes[key]
        line = Text.assemble((f"{node.kind} ", "dim"), (node.name, "bold"))
        if key in shown and above.get(key):
            tree.add(line.append("  as above"))
            continue
        shown.add(key)
        branch = tree.add(line.append(f"  {describing.described(node, role)}".rstrip()))
        edges = [each for each in above.get(key, ()) if each.source.kind is not NodeKind.NOTEBOOK]
        edges.sort(key=lambda each: _place(found.nodes[each.source]), reverse=True)
        # A version's parent stands beside it: in a long line of them, lines would have no room left.
        waiting += [(each.source, each.role, tree if each.role == "derived" else branch) for each in edges]
    width = None if sys.stdout.isatty() else _WIDE
    Console(width=width, highlight=False, soft_wrap=False).print(whole)
    for gap in found.gaps:
        click.echo(f"! {gap.node.kind} {found.nodes[gap.node].name}: {gap.missing}")


def _show_users(found: "Lineage") -> None:
    """Print what came of the root: how many of each kind, then a line for each."""
    from modelwright.lifecycle import describing, lineage

    kinds = [kind for kind in _LISTED if found.of_kind(kind)]
    root = found.nodes[found.root]
    if not kinds:
        click.echo(f"nothing depends on {root.kind} {root.name}")
        return
    counts = [_counted(len(found.of_kind(kind)), _LISTED[kind]) for kind in kinds]
    live = lineage.live_endpoints(found)
    click.echo(f"on {root.kind} {root.name} depend: {', '.join(counts)}")
    for is_live, told in ((True, "live"), (False, "no longer served by")):
        names = [name for name, serves in live.items() if serves is is_live]
        if names:
            click.echo(f"{told}: {', '.join(names)}")
    click.echo()
    rows = [(kind, each.name, describing.described(each)) for kind in kinds for each in found.of_kind(kind)]
    output.show_table(("kind", "name", ""), rows, empty="")


def _place(node: "Node") -> tuple[int, int]:
    return _ORDER.index(node.kind) if node.kind in _ORDER else len(_ORDER), node.facts.get("position", 0)


def _counted(count: int, noun: str) -> str:
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"
