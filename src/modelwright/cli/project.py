"""`wright lint`, `wright convert`, `wright new`, `wright prove`, `wright test`."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelwright.cli import output

if TYPE_CHECKING:
    from modelwright.lifecycle.shipping import Order

_PYTHON_HELP = "The Python that the notebooks run in."


def takes_notebooks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the notebooks and the options of a conversion, handed to it as its `order`."""

    @click.argument("training", metavar="TRAINING.ipynb", type=click.Path(path_type=Path))
    @click.argument("scoring", metavar="[SCORING.ipynb]", type=click.Path(path_type=Path), required=False)
    @click.option("--name", help="Of the project, its model and endpoint; by default the notebook's folder.")
    @click.option("--into", metavar="FOLDER", type=click.Path(path_type=Path), help="The project; default: ./NAME.")
    @click.option("--python", metavar="PATH", type=click.Path(path_type=Path), help=_PYTHON_HELP)
    @click.option(
        "--layout",
        type=click.Choice(["modules", "mlopspython"]),
        help="How the package's folders are cut; by default as before, else plain modules.",
    )
    @click.option("--keep", metavar="CELL", type=int, multiple=True, help="Keep this code cell whole; may be repeated.")
    @click.option("--drop", metavar="CELL", type=int, multiple=True, help="Leave this code cell out; may be repeated.")
    @click.option("--overwrite", is_flag=True, help="Discard edits made to the project since its last conversion.")
    @functools.wraps(command)
    def with_order(  # noqa: PLR0913 - an option each
        training: Path,
        scoring: Path | None,
        *,
        name: str | None,
        into: Path | None,
        python: Path | None,
        layout: str | None,
        keep: tuple[int, ...],
        drop: tuple[int, ...],
        overwrite: bool,
        **others: object,
    ) -> None:
        from modelwright.lifecycle.shipping import Order
        from modelwright.notebooks.layouts import Style
        from modelwright.projects import naming
        from modelwright.records import Wishes

        name = name or naming.project_name(training.absolute().parent.name)
        order = Order(
            training=training.absolute(),
            scoring=scoring.absolute() if scoring else None,
            name=name,
            into=(into or Path(name)).absolute(),
            python=python,
            is_overwritten=overwrite,
            layout=Style(layout) if layout else None,
            wishes=Wishes(keep, drop),
        )
        command(order, **others)

    return with_order


@click.command()
@click.argument("notebook", metavar="NOTEBOOK", type=click.Path(path_type=Path))
@click.option("--decisions", is_flag=True, help="Show too what a conversion would make of every statement.")
@output.json_option
def lint(notebook: Path, *, decisions: bool, as_json: bool) -> None:
    """Tell what stands in the way of converting NOTEBOOK, without running it; exit 1 when something does."""
    from modelwright.notebooks import linting

    found = linting.lint(notebook.absolute())
    if as_json:
        output.show_json(found)
    else:
        output.show_findings(found.findings)
        if decisions:
            output.show_decisions(found.decisions)
    if not found.is_convertible:
        raise SystemExit(1)


@click.command()
@takes_notebooks
@click.option("--decisions", is_flag=True, help="Show what became of every statement, not only of those removed.")
@output.why_option
@output.json_option
def convert(order: "Order", *, decisions: bool, why: str, as_json: bool) -> None:
    """Turn notebooks into a tested Python project; nothing in the notebooks' own folder is changed."""
    from modelwright.lifecycle import shipping
    from modelwright.projects import conversion
    from modelwright.projects.manifest import PAGE_FILE

    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        verified = shipping.convert(session, order)
    plan = verified.converted.study.plan
    decided = conversion.decisions(verified.converted.study)
    if as_json:
        output.show_json(
            {
                "project": order.into,
                "is_equal": verified.is_equal,
                "proof": verified.proof,
                "tests": verified.tests,
                "removals": plan.removals,
                "decisions": decided,
                "findings": plan.findings,
                "failure": output.error_facts(verified.failure) if verified.failure else None,
            }
        )
    else:
        if decisions:
            output.show_decisions(decided)
        else:
            output.show_removals(plan.removals)
        if verified.proof:
            output.show_proof(verified.proof)
        click.echo(f"\nproject  {order.into}")
        click.echo(f"  page:  {order.into / PAGE_FILE}")
        click.echo(f"  next: wright run {order.into}" if verified.is_equal else f"  look:  {order.into}")
    if verified.failure and not as_json:
        raise verified.failure
    if not verified.is_equal:
        raise SystemExit(1)


@click.command()
@click.argument("name")
@click.option("--into", metavar="FOLDER", type=click.Path(path_type=Path), help="The project; default: ./NAME.")
@click.option("--python", metavar="PATH", type=click.Path(path_type=Path), help="The Python whose packages it gets.")
@click.option(
    "--layout",
    type=click.Choice(["modules", "mlopspython"]),
    default="modules",
    help="How the package's folders are cut.",
)
@output.why_option
@output.json_option
def new(name: str, *, into: Path | None, python: Path | None, layout: str, why: str, as_json: bool) -> None:
    """Start a tested project without a notebook; your own model takes the place of its sample."""
    from modelwright.lifecycle import starting
    from modelwright.notebooks.layouts import Style

    folder = (into or Path(name)).absolute()
    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        started = starting.start(session, name, into=folder, layout=Style(layout), python=python)
    if as_json:
        output.show_json({"project": folder, "package": started.manifest.layout.package, "tests": started.tests})
    else:
        click.echo(f"project  {folder}")
        click.echo(f"  how your model gets in: {folder / 'README.md'}")
        click.echo(f"  next: wright run {folder}")


@click.command()
@click.argument("project", type=click.Path(path_type=Path), default=".")
@click.option("--python", metavar="PATH", type=click.Path(path_type=Path), help=_PYTHON_HELP)
@output.why_option
@output.json_option
def prove(project: Path, *, python: Path | None, why: str, as_json: bool) -> None:
    """Run PROJECT and its notebooks, each in a fresh process, and compare; exit 1 when a result differs."""
    from modelwright.lifecycle import shipping
    from modelwright.projects.manifest import read_manifest

    manifest = read_manifest(project.absolute())
    with output.session(is_made=True, is_silent=as_json, why=why) as session:
        proof = shipping.prove(session, manifest, python=python)
    if as_json:
        output.show_json(proof)
    else:
        output.show_proof(proof)


@click.command()
@click.argument("project", type=click.Path(path_type=Path), default=".")
@output.json_option
def test(project: Path, *, as_json: bool) -> None:
    """Run PROJECT's tests in its own environment; exit 1 when one fails."""
    from modelwright.lifecycle import shipping
    from modelwright.projects.manifest import read_manifest

    manifest = read_manifest(project.absolute())
    with output.session(is_made=True, is_silent=as_json) as session:
        summary = shipping.run_tests(session, manifest)
    if as_json:
        output.show_json({"summary": summary})
