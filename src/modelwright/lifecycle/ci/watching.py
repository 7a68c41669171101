"""Automation of one machine: a commit trains, and a version that was registered goes out, as the workflow files say.

How far a watcher is lies in the workspace, and whoever looks holds a claim: two of them do nothing twice, and one that
was killed is taken up where it was.
"""

import json
import os
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from modelwright.errors import ApprovalRefused, ModelMissing, ModelwrightError, RollbackFailed
from modelwright.lifecycle import publishing, recovery, training
from modelwright.lifecycle.ci import builds, commits, releasing
from modelwright.lifecycle.ci.local import patterns
from modelwright.lifecycle.sessions import Session
from modelwright.projects import quality
from modelwright.projects.ci.automation import Automation, Target, read_automation
from modelwright.projects.ci.workflows import repository_of
from modelwright.projects.manifest import Manifest, read_lock, read_manifest
from modelwright.store import claims, models, registrations
from modelwright.store.database import Store

_FORMAT_VERSION = 1
_HOOK = """\
#!/bin/sh
# Written by `wright ci hook install`: what a commit starts goes on in the background and writes to the log.
{command} >>{log} 2>&1 </dev/null &
"""
_HOOKS = ("post-commit", "post-merge")
_MARK = "wright ci hook install"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Seen:
    """How far a project was looked at: its last commit, the last event, and the releases that go on, by next target."""

    commit: str | None = None
    sequence: int = 0
    releases: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Watched:
    """A project that is watched: its folder, which is the user's own, and the repository that it is in."""

    manifest: Manifest
    automation: Automation
    repository: Path

    @property
    def place(self) -> str:
        """Where the project lies in its repository."""
        return os.path.relpath(self.manifest.folder, self.repository)


def watched(folder: Path) -> Watched:
    """Return the project in `folder` as it is watched. Raises ProjectMissing, AutomationMissing, RepositoryMissing."""
    manifest = read_manifest(folder)
    found = Watched(manifest, read_automation(folder), repository_of(folder))
    commits.head(found.repository)
    return found


def begin(store: Store, found: Watched) -> None:
    """Let what there is now count as seen, unless the project was looked at before."""
    if not _file(store, found).is_file():
        commit = commits.head(found.repository, found.automation.branch)
        _keep(store, found, Seen(commit, registrations.last_sequence(store)))


def look(session: Session, found: Watched, tell: Tell) -> None:
    """Do what is due since the last look. Raises Busy."""
    store = session.store
    with claims.claim(store, f"watch-{found.manifest.name}"):
        begin(store, found)
        seen = _seen(store, found)
        head = commits.head(found.repository, found.automation.branch)
        if head != seen.commit:
            _commit(session, found, seen.commit, head, tell)
            seen = _kept(store, found, seen, replace(seen, commit=head))
        seen = _kept(store, found, seen, _registered(store, found, seen, tell))
        for version in list(seen.releases):
            seen = _kept(store, found, seen, _release(session, found, seen, version, tell))


def install_hooks(repository: Path, command: str, log: Path) -> list[Path]:
    """Write the hooks that start `command` after a commit; return them. Others' hooks stay, and are not returned."""
    folder = commits.hooks_folder(repository)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in _HOOKS:
        path = folder / name
        if not path.exists() or _MARK in path.read_text(encoding="utf-8", errors="replace"):
            path.write_text(_HOOK.format(command=command, log=shlex.quote(str(log))), encoding="utf-8")
            path.chmod(0o755)
            written.append(path)
    return written


def remove_hooks(repository: Path) -> list[Path]:
    """Remove the hooks that were written here; return them."""
    folder = commits.hooks_folder(repository)
    ours = [folder / name for name in _HOOKS]
    removed = [each for each in ours if each.exists() and _MARK in each.read_text(encoding="utf-8", errors="replace")]
    for path in removed:
        path.unlink()
    return removed


def ahead(automation: Automation, name: str) -> tuple[Target, ...]:
    """Return the targets from that one on; all when `ci.toml` has it no more: where a version serves it is left."""
    names = [each.name for each in automation.targets]
    return automation.targets[names.index(name) if name in names else 0 :]


def _commit(session: Session, found: Watched, before: str | None, commit: str, tell: Tell) -> None:
    """Train what a commit changed, unless that is none of what trains."""
    changed = commits.changed(found.repository, before, commit)
    if not patterns.any_matches(changed, found.automation.trains(found.place)):
        tell(f"commit {commit[:12]} changes nothing that trains")
        return
    tell(f"commit {commit[:12]} trains")
    try:
        version = _build(session, found, commit)
    except ModelwrightError as error:
        tell(f"commit {commit[:12]}: {error}")
    else:
        tell(f"commit {commit[:12]} became {version}")


def _build(session: Session, found: Watched, commit: str) -> str:
    """Check, publish and train the project as a commit has it; return the version."""
    store = session.store
    session = replace(session, why=session.why or f"commit {commit}")
    recovery.recover(session)
    with claims.scratch_folder(store) as scratch:
        commits.check_out(found.repository, commit, into=scratch / "code")
        manifest = read_manifest(scratch / "code" / found.place)
        automation = read_automation(manifest.folder)
        with session.stage("quality", "lint and tests") as stage:
            reports = scratch / "reports"
            checked = quality.check(
                manifest.folder,
                source=manifest.layout.source,
                into=reports,
                environment=training.environment_of(store, read_lock(manifest)),
                workspace=store.folder,
            )
            stage.decided = f"lint {checked.lint}, tests {checked.tests}, coverage {checked.coverage}"
        quality.require(found.manifest.folder, checked, into=Path(reports.name))
        pipeline = publishing.publish(session, manifest, project=found.manifest.folder)
        build = builds.Build(commit)
        return builds.train(session, automation, build, pipeline=pipeline, model=manifest.name).reference


def _registered(store: Store, found: Watched, seen: Seen, tell: Tell) -> Seen:
    """Return what there is to be done after the versions that were registered since; a newer one takes over."""
    last, references = registrations.since(store, seen.sequence, model=found.manifest.name)
    releases = dict(seen.releases)
    for reference in references:
        try:
            version = models.find_version(store, reference)
        except ModelMissing:
            continue  # it was deleted meanwhile
        if not builds.is_released(version, found.automation):
            tell(f"{reference} was registered, and has not the tags that start a release")
            continue
        for old in releases:
            tell(f"{old} no longer waits: {reference} takes over")
        releases = {reference: found.automation.targets[0].name}
        tell(f"{reference} was registered and goes out")
    return replace(seen, sequence=last, releases=releases)


def _release(session: Session, found: Watched, seen: Seen, reference: str, tell: Tell) -> Seen:
    """Take a release as far as it gets without anybody's word."""
    others = {each: target for each, target in seen.releases.items() if each != reference}
    try:
        version = models.find_version(session.store, reference)
    except ModelMissing as error:
        tell(f"{reference} does not go out: {error}")
        return replace(seen, releases=others)
    try:
        for target in ahead(found.automation, seen.releases[reference]):
            word = releasing.find_approval(session.store, version, stage=target.name)
            if target.needs_approval and word is None:
                if seen.releases[reference] != target.name:
                    tell(f'{reference} waits: wright approve {reference} --stage {target.name} --why "TEXT"')
                return replace(seen, releases=others | {reference: target.name})
            why = session.why or (word.why if word else f"{reference} was registered")
            releasing.advance(replace(session, why=why), found.automation, version, target)
            tell(f"{reference} serves at {target.endpoint}")
    except (ApprovalRefused, RollbackFailed) as error:
        tell(str(error))
    except ModelwrightError as error:
        tell(f"{reference} does not go out, and what it replaced is back: {error}")
    return replace(seen, releases=others)


def _file(store: Store, found: Watched) -> Path:
    return store.folder / "ci" / f"{found.manifest.name}.json"


def _seen(store: Store, found: Watched) -> Seen:
    told = json.loads(_file(store, found).read_text(encoding="utf-8"))
    return Seen(**{name: value for name, value in told.items() if name != "format_version"})


def _kept(store: Store, found: Watched, before: Seen, now: Seen) -> Seen:
    """Return what is seen by now, written down where that is something new."""
    if now != before:
        _keep(store, found, now)
    return now


def _keep(store: Store, found: Watched, seen: Seen) -> None:
    path = _file(store, found)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps({"format_version": _FORMAT_VERSION, **asdict(seen)}), encoding="utf-8")
    partial.replace(path)
