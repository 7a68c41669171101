"""How the gate's verdict is shown with a run and with the version that the run became."""

from typing import TYPE_CHECKING

from modelwright.records.plain import plain

if TYPE_CHECKING:
    from modelwright.records import Verdict
    from modelwright.store.database import Store


def fields(verdict: "Verdict | None") -> list[tuple[str, str]]:
    """Return the lines that tell of a verdict; none where no gate was asked."""
    if verdict is None:
        return []
    told = [f"{verdict.outcome}: {verdict.reason}"]
    told += verdict.numbers.get("cautions", [])
    told += verdict.numbers.get("notes", [])
    told += [_slice(each) for each in verdict.numbers.get("slices", [])]
    return [("gate", each) for each in told]


def of_run(store: "Store", run_id: str | None) -> "Verdict | None":
    """Return the verdict on what a run made; None where no gate was asked, or there is no run."""
    from modelwright.store import gates

    return gates.find_verdict(store, run_id) if run_id else None


def as_json(verdict: "Verdict | None") -> dict[str, object]:
    """Return a verdict as it is added to what `--json` prints."""
    return {"verdict": plain(verdict)}


def _slice(group: dict[str, object]) -> str:
    values = [group["new"], group["old"]]
    new, old = ("no number" if each is None else f"{float(str(each)):.6g}" for each in values)
    small = ", small" if group["is_small"] else ""
    champion = f", the champion's {old}" if group["old"] is not None else ""
    return f"{group['column']} = {group['group']} ({group['rows']:,} rows{small}): {new}{champion}"
