"""What reading a specification reports: its codes, and which of them mean that something is not in the lock."""

from modelwright.records import SpecificationFinding

CODES = {
    "requirement-editable": "A link to a source folder, whose content a lock cannot pin. Left out.",
    "requirement-address": "A folder, an address or a repository, which no index vouches for. Left out.",
    "option-not-kept": "An option of pip is not kept with the lock.",
    "source-elsewhere": "uv is told to take a package from another place than the index. Left out.",
    "setting-not-kept": "A setting of uv that changes what is chosen is not kept.",
    "dependencies-dynamic": "The dependencies are computed while the project is built. Left out.",
    "conda-unused": "conda is not used: what is known to be the same comes from the index.",
    "conda-package": "A conda package that no index package is known to be the same as. Left out.",
    "conda-absent": "A conda package whose name and version the index does not have. Left out.",
    "conda-pin": "A version rule of conda that other tools cannot say. The package is left out.",
    "conda-entry": "Something in a conda file that installs no Python package. Left out.",
    "conda-renamed": "The package is called otherwise on the index.",
    "conda-assumed": "The package is taken to be the one of the same name and version on the index.",
    "conda-build": "The package is taken from the index in this version, but not conda's build of it.",
    "conda-channel": "The package is taken from the index and not from the channel that is named.",
    "python-differs": "Another Python version is used than the one asked for.",
    "locked-offline": "The index could not be reached, so newer versions may exist.",
}
_HONOURED = frozenset(
    {
        "conda-unused",
        "conda-renamed",
        "conda-assumed",
        "conda-build",
        "conda-channel",
        "python-differs",
        "locked-offline",
    }
)
# What only asking the index tells: kept with the lock, for when the same is asked for again.
RESOLVING = frozenset({"conda-assumed", "conda-absent", "locked-offline"})


def found(code: str, message: str, *, fix: str, file: str, line: int) -> SpecificationFinding:
    """Return the finding of that code."""
    assert code in CODES, code  # noqa: S101 - a code that no page explains is a fault of ours
    return SpecificationFinding(code, message, fix, file, line, code in _HONOURED)
