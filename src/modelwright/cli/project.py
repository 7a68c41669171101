"""`wright convert`, `wright prove`, `wright test`."""

from pathlib import Path

import click

from modelwright.cli import output


@click.command()
@click.argument("training", metavar="TRAINING.ipynb", type=click.Path(path_type=Path))
@click.argument("scoring", metavar="[SCORING.ipynb]", type=click.Path(path_type=Path), required=False)
@click.option("--name", help="The project's name; by default the notebook's folder.")
@click.option(
    "--into", metavar="FOLDER", type=click.Path(path_type=Path), help="The project's folder; default: ./NAME."
)
@click.option("--python", metavar="PATH", type=click.Path(path_type=Path), help="The Python that the notebooks run in.")
@click.option("--overwrite", is_flag=True, help="Discard edits made to the project since its last conversion.")
@output.json_option
def convert(
    training: Path,
    scoring: Path | None,
    *,
    name: str | None,
    into: Path | None,
    python: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Turn notebooks into a tested Python project; nothing in the notebooks' own folder is changed."""
    from modelwright.lifecycle import shipping
    from modelwright.lifecycle.shipping import Order

    name = name or output.default_name(training)
    with output.session(is_made=True, is_silent=as_json) as session:
        order = Order(
            training=training.absolute(),
            scoring=scoring.absolute() if scoring else None,
            name=name,
            into=(into or Path(name)).absolute(),
            python=python,
            is_overwritten=overwrite,
        )
        converted = shipping.convert(session, order)
    if as_json:
        folder, plan = converted.manifest.folder, converted.study.plan
        output.show_json({"project": folder, "removals": plan.removals, "findings": plan.findings})
        return
    output.show_removals(converted.study.plan.removals)
    output.show_findings(converted.study.plan.findings)
    click.echo(f"\nproject  {converted.manifest.folder}")
    click.echo(f"  next: wright prove {converted.manifest.folder}")


@click.command()
@click.argument("project", type=click.Path(path_type=Path), default=".")
@click.option("--python", metavar="PATH", type=click.Path(path_type=Path), help="The Python that the notebooks run in.")
@output.json_option
def prove(project: Path, *, python: Path | None, as_json: bool) -> None:
    """Run PROJECT and its notebooks, each in a fresh process, and compare; exit 1 when a result differs."""
    from modelwright.lifecycle import shipping
    from modelwright.projects.manifest import read_manifest

    manifest = read_manifest(project.absolute())
    with output.session(is_made=True, is_silent=as_json) as session:
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
