"""What of a project's code a function reaches: the part of a step's key that says whether its code has changed.

The unit is the definition, not the file: a step runs again when a line changes that it can reach, through however many
modules, and is reused when another function of the same file changed. Comments, docstrings and layout do not count.
Where the text alone cannot tell (`eval`, `globals`, a module handed around as a value), all of the module counts, or
all of the project.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from modelwright.errors import ProjectInvalid

# With one of these a function may reach what its text does not name.
_DYNAMIC = frozenset({"__import__", "eval", "exec", "globals", "import_module", "locals", "vars"})
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class _Import:
    """What a name was imported as: the module, and the name in there unless it is the module itself."""

    module: str
    name: str | None
    is_path: bool = False  # `import a.b` binds `a`, of which the code names the rest


@dataclass
class Module:
    """One module of the project, read and taken apart."""

    name: str
    file: Path
    bindings: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, _Import] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)
    stars: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def definition(self, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """Return the function of that name as it is defined last; None when it is no plain function."""
        found = [each for each in self.bindings.get(name, ()) if isinstance(each, _DEFINITIONS)]
        return found[-1] if found and not isinstance(found[-1], ast.ClassDef) else None


class Code:
    """The Python modules below a folder that is on the path of the project's steps."""

    def __init__(self, source: Path) -> None:
        """Take the folder."""
        self.source = source
        self._modules: dict[str, Module | None] = {}

    def module(self, name: str) -> Module | None:
        """Return a module of the project; None for any other. Raises ProjectInvalid when it cannot be parsed."""
        if name not in self._modules:
            place = self.source.joinpath(*name.split("."))
            files = (place.with_suffix(".py"), place / "__init__.py") if name else ()
            file = next((each for each in files if each.is_file()), None)
            self._modules[name] = _read(name, file) if file else None
        return self._modules[name]

    def has(self, module: str, function: str) -> bool:
        """Whether the project has the module and, as far as its source tells, something of that name in it."""
        found = self.module(module)
        return found is not None and (function in found.bindings or function in found.imports or bool(found.stars))

    def digest(self, module: str, function: str) -> str:
        """Return the digest of all that the function reaches in the project, itself included."""
        from blake3 import blake3

        reach = _Reach(self)
        reach.enter(module, function)
        whole = blake3()
        for part in sorted(reach.parts):
            whole.update(f"{part}\0".encode())
        return whole.hexdigest()

    def strings(self, module: str, function: str) -> set[str]:
        """Return the string literals in what the function reaches; some of them may name files."""
        reach = _Reach(self)
        reach.enter(module, function)
        return reach.strings

    @cached_property
    def names(self) -> list[str]:
        """The names of all the project's modules."""
        found = []
        for file in sorted(self.source.rglob("*.py")):
            parts = file.relative_to(self.source).with_suffix("").parts
            if not any(part.startswith(".") for part in parts):
                found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        return [each for each in found if each]


class _Reach:
    """A walk over what can be reached, from one function on."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.parts: set[str] = set()
        self.strings: set[str] = set()
        self._seen: set[tuple[str, str]] = set()
        self._imported: set[str] = set()

    def enter(self, module: str, name: str) -> None:
        """Reach what is called `name` in the module."""
        found = self.code.module(module)
        if found is None or (module, name) in self._seen:
            return
        self._seen.add((module, name))
        self.importing(module)
        for statement in found.bindings.get(name, ()):
            self._take(found, name, statement)
        imported = found.imports.get(name)
        if imported:
            self._follow(found, imported, [])
        if name not in found.bindings and not imported:
            for each in found.stars:
                self.enter(each, name)

    def whole(self, module: str) -> None:
        """Reach everything in a module."""
        found = self.code.module(module)
        for name in [*found.bindings, *found.imports] if found else ():
            self.enter(module, name)

    def importing(self, module: str) -> None:
        """Reach what runs when the module is imported, and the modules that it imports."""
        found = self.code.module(module)
        if found is None or module in self._imported:
            return
        self._imported.add(module)
        for number, statement in enumerate(found.effects):
            self._take(found, f"<{number}>", statement)
        parent, _, _ = module.rpartition(".")
        for each in [parent, *found.loads]:
            self.importing(each)

    def _take(self, module: Module, name: str, statement: ast.stmt) -> None:
        self.parts.add(f"{module.name}:{name}:{ast.dump(statement)}")
        for root, attributes in _names(statement):
            if root in _DYNAMIC or (attributes and attributes[0] in _DYNAMIC):
                for each in self.code.names:
                    self.whole(each)
            imported = module.imports.get(root)
            if imported:
                self._follow(module, imported, attributes)
            else:
                self.enter(module.name, root)
        for node in ast.walk(statement):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.strings.add(node.value)

    def _follow(self, place: Module, imported: _Import, attributes: list[str]) -> None:
        """Reach what a name that `place` imports stands for, as far as the attributes asked of it tell."""
        self.parts.add(f"{place.name}:import:{imported}")
        module = imported.module
        if imported.name is not None:
            inner = f"{module}.{imported.name}"
            if self.code.module(inner) is None:
                self.importing(module)
                self.enter(module, imported.name)
                return
            module = inner
        rest = list(attributes)
        if imported.is_path:
            module = module.partition(".")[0]
        while rest and self.code.module(f"{module}.{rest[0]}"):
            module = f"{module}.{rest.pop(0)}"
        self.importing(module)
        if rest:
            self.enter(module, rest[0])
        else:
            self.whole(module)


def _read(name: str, file: Path) -> Module:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise ProjectInvalid(path=file, reason=error) from error
    _undocument(tree)
    module = Module(name, file)
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for statement in tree.body:
        _note(module, statement)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            _note_import(module, node)
        elif isinstance(node, ast.ImportFrom):
            _note_import_from(module, node, package)
    return module


def _undocument(tree: ast.Module) -> None:
    """Take the docstrings out."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, *_DEFINITIONS)) and node.body and _is_docstring(node.body[0]):
            node.body = node.body[1:] or [ast.Pass()]


def _note(module: Module, statement: ast.stmt) -> None:
    """Take note of what a statement of the module binds, and whether more happens in it."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)) or _is_main(statement):
        return
    for bound in [statement.name] if isinstance(statement, _DEFINITIONS) else _bound(statement):
        module.bindings.setdefault(bound, []).append(statement)
    if not isinstance(statement, (ast.Pass, *_DEFINITIONS)) and not _is_plain(statement):
        module.effects.append(statement)


def _note_import(module: Module, node: ast.Import) -> None:
    for alias in node.names:
        module.loads.append(alias.name)
        if alias.asname:
            module.imports[alias.asname] = _Import(alias.name, None)
        else:
            module.imports[alias.name.partition(".")[0]] = _Import(alias.name, None, is_path=True)


def _note_import_from(module: Module, node: ast.ImportFrom, package: str) -> None:
    origin = node.module or ""
    if node.level:
        parents = package.split(".") if package else []
        parents = parents[: len(parents) - node.level + 1]
        origin = ".".join([*parents, *([node.module] if node.module else [])])
    module.loads.append(origin)
    for alias in node.names:
        if alias.name == "*":
            module.stars.append(origin)
        else:
            module.loads.append(f"{origin}.{alias.name}")
            module.imports[alias.asname or alias.name] = _Import(origin, alias.name)


def _names(statement: ast.stmt) -> Iterator[tuple[str, list[str]]]:
    """Give every name in a statement with the attributes that are asked of it: `a.b.c` is `a` with `b` and `c`."""
    chained: set[int] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and id(node) not in chained:
            attributes = []
            inner: ast.expr = node
            while isinstance(inner, ast.Attribute):
                attributes.append(inner.attr)
                chained.add(id(inner))
                inner = inner.value
            if isinstance(inner, ast.Name):
                chained.add(id(inner))
                yield inner.id, attributes[::-1]
        elif isinstance(node, ast.Name) and id(node) not in chained:
            yield node.id, []
        elif isinstance(node, ast.Global):
            yield from ((name, []) for name in node.names)


def _bound(statement: ast.stmt) -> set[str]:
    stored = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.name for node in ast.walk(statement) if isinstance(node, _DEFINITIONS)}


def _is_plain(statement: ast.stmt) -> bool:
    """Whether a statement only gives a name a value, and nothing else happens when the module is imported."""
    is_assignment = isinstance(statement, (ast.Assign, ast.AnnAssign))
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return (
        is_assignment
        and all(isinstance(each, (ast.Name, ast.Tuple)) for each in targets)
        and not any(isinstance(node, ast.Call) for node in ast.walk(statement))
    )


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_main(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id in {"__name__", "TYPE_CHECKING"} for node in ast.walk(statement.test)
    )
