"""The name of a project, from that of a folder; and of its package, from that of the project."""

import keyword
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

from modelwright.environments import inspection

# The modules beside the tests, and what the folders of a project are called.
_OURS = frozenset({"conftest", "describing", "stepping", "tests", "src", "data", "outputs"})


def project_name(folder: str) -> str:
    """Return a folder's name as a project and its model can have it: `Churn (new)` is `Churn-new`."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("._-") or "project"


def package_name(project: str, *, python: Path, taken: Collection[str] = ()) -> str:
    """Return the project's name as an identifier that nothing else is imported by: `my-model` is `my_model`.

    A name of Python itself, of something installed in `python` or among `taken` gets an ending: `code_model`.
    """
    name = re.sub(r"\W+", "_", project, flags=re.ASCII).strip("_").lower() or "project"
    name = f"project_{name}" if name[0].isdigit() else name
    candidates = [name, f"{name}_model"]
    seen = inspection.inspect(python, candidates).modules
    is_free = {each: not seen[each].is_standard and not seen[each].origin for each in candidates}
    fitting = [
        each
        for each in candidates
        if is_free[each]
        and each not in {*taken, *_OURS}
        and not keyword.iskeyword(each)
        and not keyword.issoftkeyword(each)
    ]
    return fitting[0] if fitting else f"{name}_model_project"
