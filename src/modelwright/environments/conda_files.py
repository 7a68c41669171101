"""Reads conda's environment files.

There is no conda here: the Python that is named chooses the interpreter, the pip part is read as pip reads it, and
conda's packages come from the index where they are known to be the same there. Whatever is not taken over, or taken
over differently, is a finding.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from modelwright.environments.conda_names import index_name
from modelwright.environments.findings import found
from modelwright.environments.requirement_files import Gathered, read_text, shown
from modelwright.errors import SpecificationInvalid
from modelwright.records import Specification, SpecificationKind, Wanted

if TYPE_CHECKING:
    import yaml

# conda.io, "Package match specifications": [channel::]name, then a version and a build in one of several spellings.
_PACKAGE = re.compile(r"(?:(?P<channel>\S+)::)?(?P<name>[\w.-]+)\s*(?P<rest>.*)")
_BRACKET = re.compile(r"(\w+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|([^,\s\]]+))")
_DEFAULT_CHANNELS = frozenset({"defaults", "conda-forge", "nodefaults", "main", "anaconda"})
_WITHOUT_PACKAGES = frozenset({"name", "prefix", "channels", "dependencies"})
_ENTRY_FIXES = {"variables": "set these variables where the pipeline is started"}
_PIN_FIX = "write it as NAME=VERSION or with >=, <, !="


@dataclass(frozen=True)
class _Package:
    """One entry of the file. `version` is PEP 440's form of conda's rule; None when it has none."""

    name: str
    channel: str
    rule: str
    version: str | None
    build: str


def read_conda(path: Path) -> Specification:
    """Return what a conda environment file asks for. Raises SpecificationMissing and SpecificationInvalid."""
    reader = _Reader(path)
    reader.read()
    return Specification(
        path=path,
        kind=SpecificationKind.CONDA,
        wanted=tuple(reader.gathered.wanted),
        constraints=tuple(reader.gathered.constraints),
        findings=tuple(reader.gathered.findings),
        python=reader.python,
    )


class _Reader:
    """Walks through the file's nodes, which know their lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gathered = Gathered()
        self.python = ""
        self.is_taken = False

    def read(self) -> None:
        """Read the file into `gathered` and `python`."""
        import yaml

        try:
            root = yaml.compose(read_text(self.path), Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            self._refuse(" ".join(str(error).split()), cause=error)
        entries = {key.value: (key, value) for key, value in root.value} if _is_mapping(root) else {}
        if "dependencies" not in entries:
            self._refuse('it has no "dependencies"')
        for key, (node, value) in entries.items():
            if key not in _WITHOUT_PACKAGES:
                self._left_out(f'"{key}" installs no package', _line(node), fix=_ENTRY_FIXES.get(key, "delete it"))
            elif key == "channels":
                self._read_channels(value)
        dependencies = entries["dependencies"]
        for entry in self._items(dependencies[1]):
            if _is_mapping(entry):
                self._read_mapping(entry)
            else:
                self._read_package(str(entry.value).strip(), _line(entry))
        if self.is_taken:
            message = "conda is not used: these packages are taken from the index, built otherwise than conda's"
            fix = 'name what you want from the index under "pip:"'
            self._add("conda-unused", message, _line(dependencies[0]), fix=fix)

    def _read_channels(self, node: "yaml.Node") -> None:
        for each in self._items(node):
            if str(each.value) not in _DEFAULT_CHANNELS:
                message = f'channel "{shown(str(each.value))}" is not asked; packages come from the index'
                self._add(
                    "conda-channel", message, _line(each), fix="look for them in the lock: wright environment show"
                )

    def _read_mapping(self, node: "yaml.MappingNode") -> None:
        """Read the pip part."""
        for key, value in node.value:
            if key.value != "pip":
                fix = "install them on the machine, and delete the entry"
                self._left_out(f'"{key.value}" packages are not Python\'s', _line(key), fix=fix)
                continue
            for each in self._items(value):
                self.gathered.read_line(str(each.value).strip(), self.path, _line(each))

    def _read_package(self, text: str, line: int) -> None:
        """Read one of conda's own packages."""
        package = _parsed(text)
        if package is None:
            self._refuse(f'line {line}: "{text}" is no package')
        if package.name == "python":
            self.python = package.version or ""
            if package.version is None:
                self._add("conda-pin", f'the rule "{package.rule}" for Python is not understood', line, fix=_PIN_FIX)
        elif not self._wants(package, line):
            return
        if package.build:
            message = f'"{text}": build "{package.build}" is conda\'s alone, the version is kept'
            self._add("conda-build", message, line, fix=f"write {package.name}{package.rule.partition(' ')[0]}")
        if package.channel and package.channel not in _DEFAULT_CHANNELS:
            message = f'"{text}" is taken from the index and not from channel "{shown(package.channel)}"'
            self._add("conda-channel", message, line, fix=f"write {text.partition('::')[2]}")

    def _wants(self, package: _Package, line: int) -> bool:
        """Take the package over when it can be; return whether it was."""
        name = index_name(package.name)
        is_pinned = bool(package.version) and str(package.version).startswith("==")
        if name is None and not (is_pinned and _is_index_name(package.name)):
            self._add(
                "conda-package",
                f'"{package.name}" is not known to be the same on the index',
                line,
                fix='if pip can install it, name it under "pip:"; else install it on the machine and delete the line',
            )
            return False
        if package.version is None:
            self._add(
                "conda-pin", f'"{package.name}{package.rule}" has a rule that only conda knows', line, fix=_PIN_FIX
            )
            return False
        if name and name != package.name and name.partition("[")[0] != package.name.lower().replace("_", "-"):
            message = f'"{package.name}" is "{name}" on the index'
            self._add("conda-renamed", message, line, fix=f'none is needed; or name {name} under "pip:"')
        self.is_taken = True
        text = f"{name or package.name}{package.version}"
        self.gathered.wanted.append(Wanted(text, self.path.name, line, is_assumed=name is None))
        return True

    def _left_out(self, message: str, line: int, *, fix: str) -> None:
        self._add("conda-entry", message, line, fix=fix)

    def _add(self, code: str, message: str, line: int, *, fix: str) -> None:
        self.gathered.findings.append(found(code, message, fix=fix, file=self.path.name, line=line))

    def _items(self, node: "yaml.Node") -> "list[yaml.Node]":
        """Return the nodes of a list; none for nothing."""
        if node.id == "scalar" and node.value in {"", "null", "~"}:
            return []
        if node.id != "sequence":
            self._refuse(f"line {_line(node)} is to be a list")
        return list(node.value)

    def _refuse(self, reason: str, *, cause: Exception | None = None) -> NoReturn:
        fix = "write a list of packages under dependencies:"
        raise SpecificationInvalid(file=self.path, place="", reason=reason, fix=fix) from cause


def _parsed(text: str) -> _Package | None:
    """Return the parts of an entry; None when it is none."""
    matched = _PACKAGE.fullmatch(text)
    if not matched:
        return None
    plain, _, bracket = matched["rest"].strip().partition("[")
    rule, build = _rule_and_build(plain.strip())
    named = {key: one or two or three for key, one, two, three in _BRACKET.findall(bracket)}
    rule, channel = named.pop("version", rule), named.pop("channel", matched["channel"] or "")
    # Whatever else narrows the choice to one of conda's files is as good as a build.
    return _Package(matched["name"], channel, rule, _version(rule), " ".join([build, *named.values()]).strip())


def _rule_and_build(rest: str) -> tuple[str, str]:
    """Return the rule for the version and the build, of what follows a name."""
    exact = re.fullmatch(r"==?\s*([^=<>!~,|\s]+)\s*=\s*(\S+)", rest)
    if exact:
        return f"=={exact[1]}", exact[2]
    spaced = re.fullmatch(r"([^=<>!~,|\s]+)(?:\s+(\S+))?", rest)
    if spaced:
        return f"{'=' if '*' in spaced[1] else '=='}{spaced[1]}", spaced[2] or ""
    return rest.replace(" ", ""), ""


def _version(rule: str) -> str | None:
    """Return PEP 440's form of conda's rule for a version; empty for any, None when there is none."""
    if "|" in rule:
        return None
    clauses = []
    for clause in filter(None, (each.strip() for each in rule.split(","))):
        if clause in {"*", "=*", "==*"}:
            continue
        if re.match(r"[<>!~]|==", clause):
            clauses.append(clause.removesuffix(".*") if clause[0] in "<>" else clause)
        elif clause.startswith("=") or "*" in clause:  # the version and all that begin with it
            clauses.append(f"=={clause.removeprefix('=').removesuffix('.*')}.*")
        else:
            clauses.append(f"=={clause}")
    joined = ",".join(clauses)
    try:
        SpecifierSet(joined)
    except InvalidSpecifier:
        return None
    return joined


def _is_index_name(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name) is not None


def _is_mapping(node: "yaml.Node | None") -> bool:
    return node is not None and node.id == "mapping"


def _line(node: "yaml.Node") -> int:
    return int(node.start_mark.line) + 1
