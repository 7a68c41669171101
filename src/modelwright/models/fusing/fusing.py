"""Fuses a version: proves that arrays are its model, and keeps them in its package with the proof."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from modelwright.errors import ArraysInvalid
from modelwright.models.fusing import checking
from modelwright.models.fusing.arrays import read_arrays
from modelwright.models.fusing.evaluating import ArrayModel, Manner
from modelwright.models.fusing.scripts import Form
from modelwright.records import FusedVerdict

VERDICT = "fused.json"
FOLDER = "fused"
_ARRAYS, _ANSWERS, _REASON = "arrays.bin", "answers.jsonl", "reason.txt"
_FORMAT = {"format": "modelwright-fused", "format_version": 1}
OPAQUE = "its scoring script does more than pass rows to a model and give back what that predicts"


def fuse(package: Path, parts: Path, form: Form | None, *, is_alone: bool = False) -> FusedVerdict:
    """Compare what was taken apart into the folder `parts` with the model, and add the verdict to the package.

    The arrays, and the answers that they were compared with, go with it when they agree. `form` is how the scoring
    script passes rows on, and nothing may stand beside them in a request when they are to be `is_alone`.
    """
    manner = None
    try:
        verdict, manner = _judged(parts, form, is_alone=is_alone)
    except ArraysInvalid as error:
        verdict = FusedVerdict(is_fused=False, reason=str(error.facts["reason"]))
    if manner is not None:
        (package / FOLDER).mkdir()
        for name in (_ARRAYS, _ANSWERS):
            (parts / name).rename(package / FOLDER / name)
    told = _FORMAT | asdict(verdict) | {"manner": asdict(manner) if manner else None}
    (package / VERDICT).write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return verdict


def load(package: Path) -> ArrayModel:
    """Return the fused model of a package, compared again here: another machine or library may calculate otherwise.

    Raises ArraysInvalid when it is not fused, or is not what it was.
    """
    try:
        told = json.loads((package / VERDICT).read_text(encoding="utf-8"))
        manner = Manner(**told["manner"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArraysInvalid(path=package, reason="the version is not fused") from error
    model = ArrayModel(read_arrays(package / FOLDER / _ARRAYS), manner)
    found = checking.compared(model, checking.read_answers(package / FOLDER / _ANSWERS))
    if found.difference:
        raise ArraysInvalid(path=package, reason=found.difference)
    return model


def _judged(parts: Path, form: Form | None, *, is_alone: bool) -> tuple[FusedVerdict, Manner | None]:
    if form is None:
        return FusedVerdict(is_fused=False, reason=OPAQUE), None
    if (parts / _REASON).is_file():
        return FusedVerdict(is_fused=False, reason=(parts / _REASON).read_text(encoding="utf-8")), None
    if not (parts / _ANSWERS).is_file():
        return FusedVerdict(is_fused=False, reason="the process that takes it apart ended before it was done"), None
    answers = checking.read_answers(parts / _ANSWERS)
    manner = Manner(form.key, form.answer_key, is_alone=is_alone)
    model, found = checking.proven(read_arrays(parts / _ARRAYS), answers, manner)
    told = FusedVerdict(
        is_fused=model is not None,
        reason=found.difference,
        rows=found.rows,
        requests=found.requests,
        left=found.left,
    )
    return (replace(told, model=model.name), model.manner) if model else (told, None)
