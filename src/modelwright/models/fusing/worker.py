"""Takes a model without a scoring script apart, in its own environment. Started by path.

`python worker.py GUEST FRAMEWORK MODEL_FOLDER PACKAGE PARTS [SAMPLE]` loads the model as the server would, with the
server's own modules in the folder GUEST, and writes to the folder PARTS its arrays and what the server would answer to
generated requests; or why it is not taken apart.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, Optional


def main() -> None:
    """Take the model apart."""
    guest, framework = sys.argv[1:3]
    model_folder, package, parts_folder = (Path(each) for each in sys.argv[3:6])
    sample = Path(sys.argv[6]).read_text(encoding="utf-8") if sys.argv[6:] else '{"data": []}'
    here = Path(__file__).parent
    exporting, asking = (_module(f"_wright_{name}", here / f"{name}.py") for name in ("exporting", "asking"))
    try:
        _module("modelwright_guest", Path(guest) / "__init__.py")
        served = importlib.import_module("modelwright_guest.models").Model(framework, model_folder, package)
        parts = exporting.parts_of(served.fitted)
        parts.write(str(parts_folder / "arrays.bin"))
        answers = str(parts_folder / "answers.jsonl")
        asking.write_answers(answers, answer=lambda body: _answer(served, body), parts=parts, sample=sample, key="data")
    except Exception as error:  # noqa: BLE001 - a model need not be arrays, whatever the reason
        told = str(error) if isinstance(error, exporting.NotArraysError) else f"{type(error).__name__}: {error}"
        (parts_folder / "reason.txt").write_text(told, encoding="utf-8")


def _answer(served: Any, body: str) -> Optional[str]:
    """Return the body of the server's answer; None where it refuses or fails."""
    messages, codes = (importlib.import_module(f"modelwright_guest.{name}") for name in ("messages", "codes"))
    data = body.encode("utf-8", "surrogatepass")
    try:
        reply = served.score(messages.Call(number=0, route=codes.Route.SCORE, id="", head=b"", body=data))
    except Exception:  # noqa: BLE001 - the server says so in words of its own
        return None
    found: bytes = reply.body
    return found.decode()


def _module(name: str, place: Path) -> Any:
    places = [str(place.parent)] if place.name == "__init__.py" else None
    specification = importlib.util.spec_from_file_location(name, str(place), submodule_search_locations=places)
    if specification is None or specification.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
