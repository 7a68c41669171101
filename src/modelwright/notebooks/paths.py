"""Files that a notebook names by relative paths: the data it reads, and the results that go to an output folder."""

import ast
import json
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from modelwright.notebooks import checking, constants, names
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.results import Results
from modelwright.notebooks.slicing import Slice

Edit = tuple[ast.expr, str]
# Calls whose parts are paths, and what names of variables say that they are.
_JOINING = frozenset({"os.path.join", "pathlib.Path", "pathlib.PurePath", "glob.glob", "os.listdir"})
_READING_METHODS = frozenset({"read_text", "read_bytes", "open"})
_PATH_WORDS = ("path", "dir", "folder", "root", "file", "data_loc")


@dataclass(frozen=True)
class Paths:
    """What takes the place of path expressions, by statement, and the files beside the notebook that are read."""

    edits: Mapping[int, Sequence[Edit]] = field(default_factory=dict)
    data_files: Sequence[str] = ()


def paths(flow: Flow, kept: Slice, found: Results) -> Paths:
    """Return the paths of a notebook's kept statements."""
    return _Paths(flow, kept, found).find()


def in_project(path: str) -> str:
    """Return where a file beside the notebook, or above it, lies in the project."""
    return "/".join(each for each in PurePosixPath(path).parts if each not in {".", ".."})


def in_output_folder(file: str, *, is_path: bool = False) -> str:
    """Return the expression of a result's path: its name, in the folder that the caller names."""
    if is_path:
        return f'pathlib.Path(output_folder, "{PurePosixPath(file).name}")'
    return f'os.path.join(output_folder, "{PurePosixPath(file).name}")'


class _Paths:
    def __init__(self, flow: Flow, kept: Slice, found: Results) -> None:
        self.flow = flow
        self.values = constants.assigned_values(flow)
        self.saves = [each for each in (*found.saves, *found.files) if each.statement in kept.body and each.file]
        self.written = {posixpath.normpath(str(each.file)) for each in self.saves}
        self.body = kept.body
        self.everything = sorted(kept.body | kept.definitions | kept.settings)
        self.read_files = self._read()
        self.edits: dict[int, list[Edit]] = {}
        self.files: dict[str, None] = {}

    def find(self) -> Paths:
        for save in self.saves:
            self._edit(save.statement, save.path, in_output_folder(str(save.file), is_path=save.is_path))
        for index in self.everything:
            self._read_calls(index)
            self._literals(index)
        data = [each for each in dict.fromkeys([*self.files, *self.read_files]) if not each.endswith(".py")]
        return Paths(self.edits, data)

    def _read(self) -> list[str]:
        """Return the files beside the notebook that kept statements were seen to read, and that it did not write."""
        written: set[str] = set()
        found: dict[str, None] = {}
        for index, seen in sorted(self.flow.seen.items()):
            for each in seen.read:
                if index in self.everything and each not in written and not checking.is_outside(each):
                    found[each] = None
            written |= set(seen.written)
        return list(found)

    def _edit(self, index: int, expression: ast.expr, code: str) -> None:
        self.edits.setdefault(index, []).append((expression, code))

    def _is_edited(self, index: int, node: ast.AST) -> bool:
        edited = [expression for expression, _ in self.edits.get(index, ())]
        return any(node is inner for expression in edited for inner in ast.walk(expression))

    def _read_calls(self, index: int) -> None:
        statement = self.flow.statements[index]
        for node in [each for each in ast.walk(statement.tree) if isinstance(each, ast.Call)]:
            self._read_back(index, node)
            path = checking.read_path(node, self.flow, self.values)
            seen = self._seen_elsewhere(index, path) if path else ""
            if seen:
                self.files[seen] = None
                self._edit(index, node.args[0], f"os.path.join(PROJECT, {json.dumps(seen, ensure_ascii=False)})")
                continue
            if path is None or checking.is_outside(path) or self._is_edited(index, node.args[0]):
                continue
            if posixpath.normpath(path) in self.written:
                if index in self.body:
                    self._edit(index, node.args[0], in_output_folder(path))
                continue
            self.files[str(PurePosixPath(path))] = None
            self._edit(index, node.args[0], self._inside(path, statement.source_of(node.args[0])))

    def _read_back(self, index: int, node: ast.Call) -> None:
        """Replace the path of `Path("model.pkl").read_bytes()` where the notebook wrote that file itself."""
        method = node.func
        if not isinstance(method, ast.Attribute) or method.attr not in _READING_METHODS or index not in self.body:
            return
        path = constants.text(method.value, names=self.flow.names, values=self.values)
        is_file = isinstance(method.value, ast.Call | ast.BinOp) and not self._is_edited(index, method.value)
        if path is not None and is_file and posixpath.normpath(path) in self.written:
            self._edit(index, method.value, in_output_folder(path, is_path=True))

    def _seen_elsewhere(self, index: int, path: str) -> str:
        """Return the file that was read, if the notebook had gone to another folder before; else an empty text."""
        seen = self.flow.seen.get(index)
        if seen is None or posixpath.normpath(path) in seen.read or not self._goes_elsewhere(index):
            return ""
        name = posixpath.normpath(path).lstrip("./")
        found = [each for each in seen.read if f"/{each}".endswith(f"/{name}") and not checking.is_outside(each)]
        return found[0] if len(found) == 1 and found[0] not in self.written else ""

    def _goes_elsewhere(self, index: int) -> bool:
        calls = [each for one in self.flow.statements[:index] for each in ast.walk(one.tree)]
        return any(isinstance(each, ast.Call) and self.flow.names.origin(each.func) == "os.chdir" for each in calls)

    def _literals(self, index: int) -> None:
        """Replace texts that are paths of files that were seen to be read, or of folders of theirs."""
        statement = self.flow.statements[index]
        parents = {child: node for node in ast.walk(statement.tree) for child in ast.iter_child_nodes(node)}
        for node, parent in parents.items():
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or self._is_edited(index, node):
                continue
            if isinstance(parent, ast.JoinedStr | ast.FormattedValue) or names.is_import(statement.tree):
                continue
            path = posixpath.normpath(node.value) if node.value else ""
            is_file = path in self.read_files
            is_above = path == "." or any(each.startswith(f"{path}/") for each in self.read_files)
            is_folder = is_above and bool(self.read_files) and self._names_folder(node, parent)
            if is_file or is_folder:
                self._edit(index, node, self._inside(path, statement.source_of(node)))

    def _inside(self, path: str, source: str) -> str:
        """Return the expression of a path in the project; `source` is the notebook's own."""
        inside = json.dumps(in_project(path), ensure_ascii=False) if ".." in path else source
        return f"os.path.join(PROJECT, {inside})"

    def _names_folder(self, node: ast.Constant, parent: ast.AST) -> bool:
        """Whether a text stands where paths do: with a slash in it, joined to others, or named as one."""
        if "/" in str(node.value).strip("."):
            return True
        if isinstance(parent, ast.Call):
            return self.flow.names.origin(parent.func) in _JOINING and bool(parent.args) and parent.args[0] is node
        target = parent.targets[0] if isinstance(parent, ast.Assign) else None
        return isinstance(target, ast.Name) and any(word in target.id.lower() for word in _PATH_WORDS)
