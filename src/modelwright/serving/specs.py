"""What the processes of a deployment are started from: its version's package and built environment."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from modelwright.environments import placing
from modelwright.errors import VersionIncomplete
from modelwright.models import packages
from modelwright.models.fusing import verdicts
from modelwright.records import Deployment, ModelVersion, WorkerSpec
from modelwright.store import environments, models
from modelwright.store.database import Store


def worker_of(store: Store, deployment: Deployment) -> WorkerSpec:
    """Return what the deployment's processes are started from; its package is restored, its environment built.

    Raises VersionIncomplete, VersionDamaged, and what building raises.
    """
    return replace(
        worker(store, models.get_version(store, deployment.version_id), companions=deployment.companions),
        name=deployment.name,
        workers=deployment.workers,
        memory_gb=deployment.memory_gb,
        id=deployment.id,
    )


def worker(store: Store, version: ModelVersion, *, companions: Iterable[str] = ()) -> WorkerSpec:
    """Return what one process of the version is started from, with the models of its `companions` beside its own.

    Raises what `worker_of` and `others_of` raise.
    """
    packages.check_servable(version)
    package = packages.restore(store, version)
    environment = placing.build_in(store, environments.get_environment(store, str(version.environment_digest)))
    names = {each.path for each in version.files}
    has_script = packages.has_script(version)
    spec = WorkerSpec(
        version=version.reference,
        python=environment.python,
        bytecode=environment.bytecode,
        script=packages.scoring_script(package) if has_script else None,
        framework=version.framework,
        package=package,
        model_folder=packages.model_folder(package, version),
        sample=_text(package, packages.SAMPLE, names),
        expected=_text(package, packages.EXPECTED, names),
        fused=package if verdicts.is_fused(package) else None,
    )
    others = others_of(store, version, companions)
    if not others:
        return spec
    together = packages.gather(store, (version, *others))
    return replace(spec, package=together, model_folder=together / packages.LINKS, fused=None)


def others_of(store: Store, version: ModelVersion, companions: Iterable[str]) -> list[ModelVersion]:
    """Return the versions that are to lie beside `version`, each once, by name.

    Raises ModelMissing, and VersionIncomplete when there is no script to use them.
    """
    found = {each.id: each for each in (models.find_version(store, name) for name in companions)}
    found.pop(version.id, None)
    if found and not packages.has_script(version):
        raise VersionIncomplete(
            version=version.reference,
            reason="is served without a scoring script, and only a script can use further models",
            next=f"wright endpoint deploy {version.reference} without --with, or register it with --score",
        )
    return sorted(found.values(), key=lambda each: (each.model, each.version))


def _text(package: Path, name: str, names: set[str]) -> str | None:
    return (package / name).read_text(encoding="utf-8") if name in names else None
