"""Explains a registered version: finds what is known, builds what the method needs, asks, and records the answer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright import records
from modelwright.environments import overlaying
from modelwright.environments.locking import pins
from modelwright.errors import EnvironmentNotBuilt, EnvironmentNotResolved, VersionIncomplete
from modelwright.lifecycle import training
from modelwright.lifecycle.sessions import Session
from modelwright.models.explanation import explaining
from modelwright.models.explanation.explaining import Answer, Question
from modelwright.records import BuiltEnvironment, Explanation, Lock, ModelVersion
from modelwright.store import claims, environments, explanations, models, runs
from modelwright.store.database import Store


@dataclass(frozen=True)
class Wish:
    """What the user asks for: rows of a file, other data than the run's, the column to predict.

    `is_fresh` when what is known does not count.
    """

    rows: Path | None = None
    data: str | None = None
    target: str | None = None
    seed: int = 0
    repeats: int = 5
    is_fresh: bool = False


def explain(session: Session, reference: str, wish: Wish) -> Explanation:
    """Return the explanation of a version, made now unless the same was asked before.

    Raises ModelMissing, VersionIncomplete for a version without an environment, and what asking raises.
    """
    store = session.store
    version = models.find_version(store, reference)
    with claims.scratch_folder(store) as scratch:
        question = Question(
            rows=explaining.rows_file(wish.rows) if wish.rows else None,
            data=explaining.rows_of(store, wish.data, scratch=scratch) if wish.data else None,
            target=wish.target,
            seed=wish.seed,
            repeats=wish.repeats,
        )
        known = None if wish.is_fresh else explanations.find_explanation(store, version, question.key)
        return known or _explained(session, version, question, scratch)


def _explained(session: Session, version: ModelVersion, question: Question, scratch: Path) -> Explanation:
    store = session.store
    if version.environment_digest is None:
        raise VersionIncomplete(
            version=version.reference,
            reason="has no environment to load it in",
            next=f"wright model show {version.reference}",
        )
    lock = environments.get_environment(store, version.environment_digest)
    with session.stage("environment", "building what the model runs in") as stage:
        environment = overlaying.find_overlay(store, lock, explaining.SHAP) or training.environment_of(store, lock)
        stage.decided = f"{environment.lock.digest[:12]}"
    environment, answer = _asked(session, version, question, environment, lock=lock, scratch=scratch)
    found = answer.result
    result = found | {"environment": environment.lock.digest, "run": version.run_id}
    with store.blobs.batch() as batch:
        digest = batch.add(answer.values)
        explanation = Explanation(
            id=records.new_id("explanation"),
            version=version.reference,
            key=question.key,
            method=str(found["method"]),
            result=result,
            digest=digest,
            created_at=records.now(),
        )
        with session.change() as opened:
            environments.ensure_environment(opened, environment.lock)
            explanations.add_explanation(opened, version, explanation)
    return explanation


def _asked(
    session: Session,
    version: ModelVersion,
    question: Question,
    environment: BuiltEnvironment,
    *,
    lock: Lock,
    scratch: Path,
) -> tuple[BuiltEnvironment, Answer]:
    """Return the answer and where it was found: in the overlay when the version's own environment lacks a library."""
    store = session.store
    run = runs.get_run(store, version.run_id) if version.run_id else None
    missing = ""

    def ask(place: BuiltEnvironment) -> Answer:
        with session.stage("explain", version.reference) as stage:
            answer = explaining.ask(
                store, version, question, run=run, environment=place, scratch=scratch, shap_missing=missing
            )
            found = answer.result
            stage.decided = f"needs {answer.needs}" if answer.needs else f"{found['method']}, by {found['source']}"
        return answer

    answer = ask(environment)
    if answer.needs is None:
        return environment, answer
    with session.stage("overlay", f"adding {answer.needs} to the model's environment, once") as stage:
        try:
            overlay = overlaying.build_overlay(store, lock, answer.needs)
            stage.decided = f"{answer.needs} added, the model's {len(pins(lock))} packages are as they were"
            stage.recorded = overlay.lock.digest[:12]
        except (EnvironmentNotResolved, EnvironmentNotBuilt) as error:
            overlay, missing = environment, str(error)
            stage.decided, stage.has_failed = f"{answer.needs} cannot be had: {error}", True
    return overlay, ask(overlay)


def values_of(store: Store, explanation: Explanation) -> list[dict[str, Any]]:
    """Return the rows that were explained: cells, outputs, and each column's values. Raises BlobDamaged."""
    if explanation.digest is None:
        return []
    with claims.scratch_folder(store) as scratch:
        store.blobs.export(explanation.digest, scratch / "values.json")
        _, *rows = (scratch / "values.json").read_text(encoding="utf-8").splitlines()
    return [json.loads(each) for each in rows]
