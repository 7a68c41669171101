"""Reads pip's requirements files: every line becomes a requirement, a constraint or a finding."""

import codecs
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from modelwright.environments.findings import found
from modelwright.errors import SpecificationInvalid, SpecificationMissing
from modelwright.records import SpecificationFinding, Wanted

_OPTION = re.compile(r"(--[a-z-]+|-[a-zA-Z])[\s=]*(.*)")
_ADDRESS = re.compile(r"[/\\]|^\.|\.(whl|zip|tar\.gz|tgz)$|^\w+\+\w+:")


@dataclass
class Gathered:
    """What has been read so far; the readers add to it."""

    wanted: list[Wanted] = field(default_factory=list)
    constraints: list[Wanted] = field(default_factory=list)
    findings: list[SpecificationFinding] = field(default_factory=list)
    _opened: set[Path] = field(default_factory=set)

    def read_file(self, path: Path, *, is_constraint: bool = False) -> None:
        """Read a requirements file and those that it names. Raises SpecificationMissing and SpecificationInvalid."""
        path = path.resolve()
        if path in self._opened:
            return
        self._opened.add(path)
        for number, line in _logical_lines(read_text(path)):
            self.read_line(line, path, number, is_constraint=is_constraint)

    def read_line(self, line: str, path: Path, number: int, *, is_constraint: bool = False) -> None:
        """Read one line of the file `path`, or an entry that means the same."""
        if line.startswith("-"):
            self._read_option(line, path, number, is_constraint=is_constraint)
            return
        text, *options = re.split(r"\s+(?=--)", line)
        hashes = []
        for name, value in map(_option, options):
            if name == "--hash":
                hashes.append(value)
            else:
                self._not_kept(name, value, path, number)
        wanted = self._requirement(text, path, number)
        if wanted:
            kept = replace(wanted, hashes=wanted.hashes or tuple(hashes))
            (self.constraints if is_constraint else self.wanted).append(kept)

    def _read_option(self, line: str, path: Path, number: int, *, is_constraint: bool) -> None:
        name, value = _option(line)
        if name in {"-r", "--requirement", "-c", "--constraint"}:
            named = path.parent / value
            if not named.is_file():
                raise SpecificationMissing(path=named, place=f", named in {path.name}:{number}", folder=named.parent)
            self.read_file(named, is_constraint=is_constraint or name in {"-c", "--constraint"})
        elif name in {"-e", "--editable"}:
            self.findings.append(
                found(
                    "requirement-editable",
                    f'"{shown(value)}" is a link to a source folder',
                    fix="a project's own code needs no entry; of anything else build a wheel and name its file here",
                    file=path.name,
                    line=number,
                )
            )
        elif name != "--require-hashes":  # every lock requires them
            self._not_kept(name, value, path, number)

    def _not_kept(self, name: str, value: str, path: Path, number: int) -> None:
        is_index = name in {"-i", "--index-url", "--extra-index-url"}
        self.findings.append(
            found(
                "option-not-kept",
                f'"{shown(f"{name} {value}".strip())}" is not kept with the lock',
                fix="export UV_INDEX=URL, which locking and building both obey" if is_index else "delete it",
                file=path.name,
                line=number,
            )
        )

    def _requirement(self, text: str, path: Path, number: int) -> Wanted | None:
        """Return the requirement; None, with a finding, when it cannot be locked."""
        if _ADDRESS.search(text.partition(";")[0].partition(" @ ")[0].strip()):
            address, _, marker = text.partition(" ;")
            return self._at_address(text, path, number, address=address.strip(), marker=marker.strip())
        try:
            parsed = Requirement(text)
        except InvalidRequirement as error:
            fix = f"write line {number} as NAME==VERSION"
            reason = f'"{shown(text)}": {str(error).splitlines()[0]}'
            raise SpecificationInvalid(file=path, place=f", line {number},", reason=reason, fix=fix) from error
        if parsed.url:
            marker = str(parsed.marker or "")
            return self._at_address(text, path, number, address=parsed.url, marker=marker)
        return Wanted(text, path.name, number)

    def _at_address(self, text: str, path: Path, number: int, *, address: str, marker: str) -> Wanted | None:
        """Return the requirement of a wheel on this machine; None, with a finding, for any other address."""
        wheel = path.parent / address.removeprefix("file://")
        if wheel.suffix == ".whl" and "://" not in address.removeprefix("file://"):
            return _wheel(wheel, marker, path, number)
        self.findings.append(
            found(
                "requirement-address",
                f'"{shown(text)}" is no package of an index',
                fix="name its version on the index, as NAME==VERSION; or name the file of its wheel",
                file=path.name,
                line=number,
            )
        )
        return None


def read_text(path: Path) -> str:
    """Return the text of a specification's file. Raises SpecificationMissing and SpecificationInvalid."""
    try:
        content = path.read_bytes()
        # PowerShell's `pip freeze > requirements.txt` writes UTF-16.
        is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if is_wide else "utf-8-sig")
    except FileNotFoundError as error:
        raise SpecificationMissing(path=path, place="", folder=path.parent) from error
    except (UnicodeDecodeError, OSError) as error:
        raise SpecificationInvalid(file=path, place="", reason=error, fix="name a text file") from error


def shown(text: str) -> str:
    """Return an address without the user name and password that it may hold."""
    return re.sub(r"//[^/@\s]+@", "//", text)


def is_exact(wanted: list[Wanted]) -> bool:
    """Return whether these requirements are a lock already: one version each, and the hashes of its files."""
    exact = re.compile(r"[\w.-]+(\[[^]]*\])?\s*==\s*[^\s*,;]+\s*(;.*)?")
    return bool(wanted) and all(each.hashes and not each.wheel and exact.fullmatch(each.text) for each in wanted)


def _option(text: str) -> tuple[str, str]:
    matched = _OPTION.match(text)
    return (matched[1], matched[2].strip()) if matched else (text, "")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give each line with its number: without its comment, joined with those that it goes on in."""
    begun, number = "", 0
    for place, line in enumerate(text.splitlines(), 1):
        number = number if begun else place
        bare = re.sub(r"(^|\s+)#.*$", "", line).rstrip()
        if bare.endswith("\\"):
            begun += bare[:-1].rstrip() + " "
            continue
        whole = (begun + bare.strip()).strip()
        begun = ""
        if whole:
            yield number, whole
    if begun.strip():
        yield number, begun.strip()


def _wheel(wheel: Path, marker: str, path: Path, number: int) -> Wanted:
    """Return the requirement of exactly this file."""
    try:
        name, version, _, _ = parse_wheel_filename(wheel.name)
        with wheel.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, InvalidWheelFilename) as error:
        place = f", line {number},"
        raise SpecificationInvalid(file=path, place=place, reason=error, fix=f"ls {wheel.parent}") from error
    text = f"{name}=={version}" + (f" ; {marker}" if marker else "")
    return Wanted(text, path.name, number, hashes=(f"sha256:{digest}",), wheel=wheel)
