"""What a gate makes of its measurements: the numbers that are kept, what they refuse, and a sentence to be read."""

import math
from collections.abc import Mapping
from typing import Any

from modelwright.models.gate.contests import Gate
from modelwright.records import Goal

# Groups of fewer rows are called small: chance moves their metrics far.
_SMALL_GROUP = 30
_MANY_FAILURES = 0.1


def numbers(
    gate: Gate, *, new: float, champion: str | None, sizes: Mapping[str, int], told: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a verdict keeps: `new` is the run's own value, `told` what was measured side by side."""
    metrics = told.get("metrics", {})
    again = metrics.get("candidate", {}).get(gate.metric, new)
    found: dict[str, Any] = {
        "metric": gate.metric,
        "goal": str(gate.goal),
        "new": again,
        "size_bytes": dict(sizes),
        "metrics": metrics,
    }
    if again != new and not (math.isnan(again) and math.isnan(new)):
        found["recorded"] = new
    if champion:
        old = metrics["champion"][gate.metric]
        found |= {"old": old, "improvement": improvement(gate, new=again, old=old), "level": gate.level}
        found |= {"minimum_improvement": gate.rules.minimum_improvement, "resampling": told.get("resampling", {})}
    if told.get("slices"):
        found["slices"] = [_slice(gate, each) for each in told["slices"]]
    return found | {name: told[name] for name in ("latency", "check") if told.get(name) is not None}


def improvement(gate: Gate, *, new: float, old: float) -> float:
    """Return by how much the new value is better; negative when it is worse, NaN when one of them is."""
    return old - new if gate.goal is Goal.MINIMIZE else new - old


def is_better(found: Mapping[str, Any]) -> bool:
    """Whether the new model beats the champion at all; equal is not better, and neither is NaN."""
    return "improvement" not in found or bool(found["improvement"] > 0)


def refusals(gate: Gate, found: Mapping[str, Any]) -> list[str]:
    """Return why the model may not pass, a clause for each rule that it breaks."""
    rules = gate.rules
    told = []
    if "improvement" in found and is_better(found):
        if not found["improvement"] > rules.minimum_improvement:
            gain, wanted = _rough(found["improvement"]), _number(rules.minimum_improvement)
            told.append(f"it is better by {gain}, and must be by more than {wanted}")
        told += _chance(gate, found["resampling"])
    told += _slices(gate, found.get("slices", []))
    size = found["size_bytes"]["candidate"]
    if rules.max_size_bytes is not None and size > rules.max_size_bytes:
        told.append(f"its files have {size:,} bytes, and may have {rules.max_size_bytes:,}")
    if rules.max_latency_ms is not None:
        told += _latency(rules.max_latency_ms, found.get("latency", {}))
    if found.get("check"):
        told.append(f"{rules.check} says: {found['check']}")
    return told


def comparison(found: Mapping[str, Any], champion: str | None) -> str:
    """Return what came of comparing: `mse 3295.7 beats churn:1's 3298.9 on the same 89 rows by 3.17 (…)`."""
    new = f"{found['metric']} {_number(found['new'])}"
    if champion is None:
        return f"the first model, {new}"
    change, old = found["improvement"], f"{champion}'s {_number(found['old'])}"
    if change == 0:
        return f"{new} equals {old} {where(found)} ({interval(found)})"
    if math.isnan(change):
        return f"{new} cannot be compared with {old} {where(found)}"
    verb = "beats" if change > 0 else "is worse than"
    return f"{new} {verb} {old} {where(found)} by {_rough(abs(change))} ({interval(found)})"


def where(found: Mapping[str, Any]) -> str:
    """Return on how many rows both models were measured, as far as that is known."""
    rows = found["resampling"].get("rows", 0)
    return f"on the same {rows:,} rows" if rows > 1 else "on the same data"


def interval(found: Mapping[str, Any]) -> str:
    """Return the interval of the improvement and what it says of chance, or why there is none."""
    resampling = found["resampling"]
    if "low" not in resampling:
        return f"no interval: {resampling.get('reason', 'nothing was resampled')}"
    low, high = resampling["low"], resampling["high"]
    what = "within chance" if low <= 0 <= high else "more than chance"
    return f"{found['level'] * 100:.4g} % interval {_rough(low)} to {_rough(high)}: {what}"


def cautions(found: Mapping[str, Any]) -> list[str]:
    """Return what makes the comparison doubtful: resamples without a number, a measurement that does not repeat."""
    told = []
    resampling = found.get("resampling", {})
    if resampling.get("failed"):
        count, of = resampling["failed"], resampling["resamples"]
        many = ", so many that the interval says little" if count > _MANY_FAILURES * of else ""
        told.append(f"{count:,} of {of:,} resamples gave no number{many}: {resampling['failure']}")
    if "recorded" in found:
        told.append(f"the run recorded {_number(found['recorded'])}: measuring the same model twice is not the same")
    return told


def notes(found: Mapping[str, Any]) -> list[str]:
    """Return what is to be known besides: how it was resampled, the worst group, time and size."""
    told = []
    resampling = found.get("resampling", {})
    if "low" in resampling:
        how = "remembered predictions" if resampling["is_remembered"] else "each model asked anew"
        how += "" if resampling["is_percentile"] else ", the interval by their standard error"
        better = f"better in {resampling['share_better'] * 100:.3g} % of {resampling['resamples']:,} resamples ({how})"
        told.append(better)
    if found.get("slices") and "improvement" in found:
        told.append(_worst(found["slices"]))
    latency = found.get("latency", {})
    if "candidate" in latency:
        told.append("one row, 95th percentile: " + _sided(latency, lambda each: f"{each['row_p95']:.3g} ms"))
        told.append("all rows, median: " + _sided(latency, lambda each: f"{each['batch_p50']:.3g} ms"))
    if found.get("size_bytes"):
        told.append("size: " + _sided(found["size_bytes"], lambda each: f"{each:,} bytes"))
    return told


def _sided(pair: Mapping[str, Any], shown: Any) -> str:
    champion = f", the champion's {shown(pair['champion'])}" if pair.get("champion") is not None else ""
    return f"{shown(pair['candidate'])}{champion}"


def _chance(gate: Gate, resampling: Mapping[str, Any]) -> list[str]:
    if gate.rules.confidence is None:
        return []
    wanted, level = _number(gate.rules.minimum_improvement), f"{gate.rules.confidence * 100:.4g} %"
    if "low" not in resampling:
        return [f"there is no {level} interval of its improvement: {resampling.get('reason')}"]
    if resampling["low"] > gate.rules.minimum_improvement:
        return []
    return [f"the {level} interval of its improvement begins at {_rough(resampling['low'])}, not above {wanted}"]


def _slice(gate: Gate, group: Mapping[str, Any]) -> dict[str, Any]:
    new, old = group.get("candidate"), group.get("champion")
    change = None if new is None or old is None else improvement(gate, new=new, old=old)
    return {
        "column": group["column"],
        "group": group["group"],
        "rows": group["rows"],
        "new": new,
        "old": old,
        "change": change,
        "is_small": group["rows"] < _SMALL_GROUP,
    }


def _slices(gate: Gate, slices: list[dict[str, Any]]) -> list[str]:
    tolerance = gate.rules.slice_tolerance
    if tolerance is None:
        return []
    worse = [each for each in slices if each["change"] is not None and -each["change"] > tolerance]
    return [f"{_group(each)}, and may be by {_number(tolerance)}" for each in worse]


def _worst(slices: list[dict[str, Any]]) -> str:
    known = [each for each in slices if each["change"] is not None and not math.isnan(each["change"])]
    unknown = len(slices) - len(known)
    more = f"; {unknown} groups have no number" if unknown else ""
    if not known:
        return f"slices: {len(slices)} groups{more}"
    worst = min(known, key=lambda each: each["change"])
    return f"slices: of {len(slices)} groups the worst is {_group(worst)}{more}"


def _group(each: Mapping[str, Any]) -> str:
    small = ", a small group" if each["is_small"] else ""
    gain = each["change"]
    what = f"{'worse' if gain < 0 else 'better'} by {_rough(abs(gain))}" if gain else "as good"
    return f"{each['column']} = {each['group']} ({each['rows']:,} rows{small}): {what}"


def _latency(limit: float, latency: Mapping[str, Any]) -> list[str]:
    if "candidate" not in latency:
        return [f"its latency cannot be measured: {latency.get('reason')}"]
    measured = latency["candidate"]["row_p95"]
    return [f"it takes {measured:.3g} ms for one row, and may take {limit:g} ms"] if measured > limit else []


def _number(value: float) -> str:
    return f"{value:.6g}"


def _rough(value: float) -> str:
    return f"{value:.3g}"
