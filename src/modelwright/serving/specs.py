"""What the processes of a deployment are started from: its version's package and built environment."""

from dataclasses import replace
from pathlib import Path

from modelwright.environments import placing
from modelwright.models import packages
from modelwright.models.fusing import verdicts
from modelwright.records import Deployment, ModelVersion, WorkerSpec
from modelwright.store import environments, models
from modelwright.store.database import Store


def worker_of(store: Store, deployment: Deployment) -> WorkerSpec:
    """Return what the deployment's processes are started from; its package is restored, its environment built.

    Raises VersionIncomplete, VersionDamaged, and what building raises.
    """
    version = models.get_version(store, deployment.version_id)
    spec = replace(worker(store, version), name=deployment.name, workers=deployment.workers, id=deployment.id)
    spec = replace(spec, memory_gb=deployment.memory_gb)
    if not deployment.companions:
        return spec
    companions = [models.find_version(store, each) for each in deployment.companions]
    together = packages.gather(store, (version, *companions))
    return replace(spec, package=together, model_folder=together / packages.LINKS, fused=None)


def worker(store: Store, version: ModelVersion) -> WorkerSpec:
    """Return what one process of the version is started from, whatever its deployment is called."""
    packages.check_servable(version)
    package = packages.restore(store, version)
    environment = placing.build_in(store, environments.get_environment(store, str(version.environment_digest)))
    names = {each.path for each in version.files}
    has_script = packages.has_script(version)
    return WorkerSpec(
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


def _text(package: Path, name: str, names: set[str]) -> str | None:
    return (package / name).read_text(encoding="utf-8") if name in names else None
