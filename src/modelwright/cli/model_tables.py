"""How model versions are shown: many in a table, one with all that is known of it, and what happened to them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from modelwright.cli import output, verdicts
from modelwright.cli.changes import changed
from modelwright.cli.explain import summary

if TYPE_CHECKING:
    from modelwright.lifecycle.registering import Registered
    from modelwright.lifecycle.version_reports import Placed, VersionReport
    from modelwright.models.packages import Fault
    from modelwright.records import FusedVerdict, ModelVersion, PackageFile


def show_registered(registered: "Registered", *, companions: Sequence[str]) -> None:
    """Print a new version, what was understood of its files, and what to do next; it was tried with `companions`."""
    from modelwright.models import packages

    version, told = registered.version, registered.mlflow
    click.echo(version.reference)
    if told:
        click.echo(f"  MLflow model: {', '.join(told.flavors)}; {told.framework} {told.framework_version}".rstrip())
        click.echo(
            f"  signature: {_columns(told.signature)}; needs: {', '.join(told.requirements) or 'nothing is said'}"
        )
    deploy = " ".join(["endpoint deploy", version.reference, *(f"--with {each}" for each in companions)])
    click.echo(f"  next: wright {f'model show {version.reference}' if packages.lacks(version) else deploy}")


def show_versions(found: Sequence["ModelVersion"], *, is_filtered: bool) -> None:
    """Print a line for each version."""
    output.show_table(
        ("version", "aliases", "framework", "registered", "metrics", "tags", "description"),
        [
            (
                each.reference,
                ", ".join(each.aliases),
                f"{each.framework} {each.framework_version}".rstrip(),
                output.moment(each.created_at),
                ", ".join(f"{metric}={value:.6g}" for metric, value in each.metrics.items()),
                ", ".join(f"{tag}={value}" for tag, value in each.tags.items() if tag not in _LINEAGE_TAGS),
                each.description,
            )
            for each in found
        ],
        empty="no version is like that" if is_filtered else "no models yet; make one: wright ship TRAINING.ipynb",
    )


# Tags that repeat what `wright model show` tells with the run.
_LINEAGE_TAGS = {"project", "code_digest", "dataset", "dataset_digest", "git_commit", "git_is_dirty"}


def show_report(report: "VersionReport") -> None:
    """Print all that is known of a version."""
    found, run = report.version, report.run
    git = run.git if run else None
    output.show_fields(
        [
            ("version", found.reference),
            *([("description", found.description)] if found.description else []),
            ("aliases", ", ".join(found.aliases) or "none"),
            ("framework", f"{found.framework} {found.framework_version}".rstrip()),
            ("digest", found.digest),
            ("registered", " by ".join(filter(None, [output.moment(found.created_at), found.created_by]))),
            ("from", ", ".join(f"{name} {value}" for name, value in found.source.items()) or f"run {found.run_id}"),
            ("run", f"{run.id} {run.status}, started by {run.actor}" if run else "none: it was made elsewhere"),
            *([("experiment", run.experiment), ("code", run.code_digest or "none")] if run else []),
            *([("commit", f"{git.commit}{' + changes' if git.is_dirty else ''}" if git else "none")] if run else []),
            *verdicts.fields(report.verdict),
            ("proof", found.proof_id or "none: no equal proof of this code is recorded"),
            ("environment", " ".join([found.environment_digest or "none", *report.environments])),
            *(("data", f"{each.version.reference} {each.version.digest} ({each.role})") for each in report.data),
            ("signature", f"{_columns(found.signature)}"),
            *([("fused", _fused(report.fused))] if report.fused else []),
            *([("parent", report.parent)] if report.parent else []),
            *(("derived", each) for each in report.derived),
            *(("metric", f"{name} = {value!r}") for name, value in found.metrics.items()),
            *summary(report.explanation),
            *(("tag", f"{name}={value}") for name, value in found.tags.items()),
            *(("property", f"{name}={value}") for name, value in found.properties.items()),
            *(("file", f"{each.path} {each.digest[:12]} {each.size_bytes:,} bytes") for each in found.files),
            *([("lacks", f"{', '.join(report.lacks)}, to be served")] if report.lacks else []),
            *(("deployed", _placed(each, found.reference)) for each in report.placed),
        ]
    )


def _fused(verdict: "FusedVerdict") -> str:
    """Return whether an endpoint's front answers for the version itself, and what proved that it may."""
    if not verdict.is_fused:
        return f"no: {verdict.reason}"
    return f"yes: {verdict.rows:,} rows of {verdict.requests:,} requests byte for byte as by its {verdict.model}"


def show_labels(found: Mapping[str, str], *, noun: str, as_json: bool) -> None:
    """Print names and values, or that there are none of the `noun`."""
    if as_json:
        output.show_json(dict(found))
        return
    for name, value in found.items():
        click.echo(f"{name}={value}")
    if not found:
        click.echo(f"no {noun}")


def show_history(found: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each audit record, oldest first."""
    output.show_table(
        ("time", "actor", "action", "of", "why", "changed"),
        [
            (
                output.moment(each["at"]),
                each["actor"],
                each["action"],
                each["subject"].removeprefix("models/"),
                each["why"],
                changed(each),
            )
            for each in found
        ],
        empty="nothing happened to it",
    )


def show_faults(version: "ModelVersion", faults: Sequence["Fault"]) -> None:
    """Print which of a version's files are not what was registered, or that all are."""
    for each in faults:
        told = f'is now "{each.found}", registered was "{each.expected}"' if each.found else "is gone"
        click.echo(f"{click.style('✗', fg='red')} {each.file}: {each.place} {told}")
    if not faults:
        click.echo(f"{version.reference} is what was registered: {size_of(version.files)}")


def size_of(files: Sequence["PackageFile"]) -> str:
    """Return how many files and bytes these are, in words."""
    count = len(files)
    return f"{count:,} file{'' if count == 1 else 's'}, {sum(each.size_bytes for each in files):,} bytes"


def _placed(placed: "Placed", reference: str) -> str:
    deployed, answers = placed.deployment, "answers now" if placed.is_healthy else "does not answer now"
    beside = "" if deployed.version == reference else f" beside {deployed.version}"
    return f"{deployed.endpoint}{beside}: {deployed.status} since {output.moment(deployed.created_at)}, {answers}"


def _columns(signature: Mapping[str, Any]) -> str:
    """Return in a few words what a signature takes."""
    inputs = signature.get("inputs")
    if not isinstance(inputs, Mapping):
        return "none"
    items = inputs.get("items", {})
    columns = items.get("properties", {}) if isinstance(items, Mapping) else {}
    return f"rows of {', '.join(columns)}" if columns else ", ".join(inputs.get("properties", {})) or "rows"
