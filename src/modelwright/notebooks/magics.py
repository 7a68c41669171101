"""IPython's notebook syntax as plain Python: what each command becomes, what is lost, and why.

Where a command stands is told by IPython's own transformers; what it means in a project is told here.
"""

import ast
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelwright.notebooks import installs

SHELL, HELP = "!", "?"

INSTALLS = "installs packages; the project has locked requirements instead"
STEERS = "steers the notebook's display only"
SHOWS = "shows something to the reader only"
MEASURES = "measures or captures; the lines below it are kept"
MEASURES_STATEMENT = "measures; the statement itself is kept"
REPEATS = "runs many times to measure, and binds nothing"
HELPS = "shows help"
SHELL_COMMAND = "a shell command"
COMMAND = "a notebook command"
INLINED = "the code of that file stands in its place"
TRANSLATED = "written in plain Python instead"


@dataclass(frozen=True)
class Command:
    """A piece of notebook syntax: `%name arguments`, `!arguments`, `x?`, or a `%%name arguments` cell with its body.

    `target` is the source of what its value is assigned to; "" when it is a statement of its own. `is_nested` says
    that it stands inside a block.
    """

    name: str
    arguments: str
    target: str = ""
    body: str | None = None
    is_nested: bool = False


@dataclass(frozen=True)
class Problem:
    """What a finding will say of a command."""

    code: str
    message: str
    fix: str
    is_error: bool = False


@dataclass(frozen=True)
class Translation:
    """What a command becomes.

    `code` stands in its place, and `keeps_body` says that the body of a `%%` cell stays below it. `reason` says why
    the command itself is gone. `lost` are the names that it bound in the notebook and that nothing binds now.
    """

    reason: str
    code: str = ""
    keeps_body: bool = False
    problem: Problem | None = None
    requirements: tuple[str, ...] = ()
    written_file: tuple[str, str] | None = None
    lost: tuple[str, ...] = ()


Translate = Callable[[Command, Path], Translation]

# Options of the measuring commands that take a value.
_OPTIONS = re.compile(r"^(?:-[lsTDfmurti]\s+\S+\s+|-\w+\s+|--[\w-]+(?:=\S+)?\s+)*")
_FLAG = re.compile(r"^--?[\w-]+$")
_EVERY_EXPRESSION = re.compile(r"InteractiveShell\.ast_node_interactivity\s*=\s*(?P<value>['\"]\w+['\"])")
_SHOWING_SHELL = re.compile(r"^\s*(?:\S*python3?\s+(?:--version|-V)\b|nvidia-smi|date|which|whoami|uname|hostname)\b")
_MKDIR = re.compile(r"^\s*mkdir\s+(?:-p\s+)?(?P<folders>[\w./ -]+?)\s*(?:#.*)?$")


def translate(command: Command, folder: Path) -> Translation:
    """Return what a command becomes in a project; paths in it are relative to `folder`.

    `%run` and `%pylab` are not known here: they need other files and other cells.
    """
    table = _LINE if command.body is None else _CELL
    return table.get(command.name, _unknown)(command, folder)


# --- commands that leave nothing ---


def _dropped(reason: str) -> Translate:
    def dropped(command: Command, _folder: Path) -> Translation:
        return Translation(reason, lost=_names(command.target))

    return dropped


def _unknown(command: Command, _folder: Path) -> Translation:
    sign = "%" if command.body is None else "%%"
    reason = COMMAND if command.body is None else f"a %%{command.name} cell is not Python"
    problem = Problem(
        "notebook-command",
        f"a project has nothing like {sign}{command.name}; it is not run",
        "do in Python what the later cells need of it",
    )
    return Translation(reason, problem=problem, lost=_names(command.target))


def _other_language(command: Command, _folder: Path) -> Translation:
    problem = Problem(
        "other-language",
        f"a %%{command.name} cell is not Python; it is not run",
        "do in Python what the later cells need of it",
    )
    return Translation(f"a %%{command.name} cell is not Python", problem=problem)


def _text_cell(command: Command, _folder: Path) -> Translation:
    return Translation(f"a %%{command.name} cell is not Python")


def _names(target: str) -> tuple[str, ...]:
    """Return the names in the target of an assignment."""
    return tuple(re.findall(r"(?<![.\w])[A-Za-z_]\w*", target))


# --- measuring ---


def _measured(command: Command, _folder: Path) -> Translation:
    statement = _OPTIONS.sub("", command.arguments.strip() + " ").strip()
    if not statement:
        return Translation(STEERS, lost=_names(command.target))
    if not _parses(statement):
        return _unknown(command, _folder)
    return Translation(MEASURES_STATEMENT, code=_assigned(command, statement))


def _measured_cell(command: Command, _folder: Path) -> Translation:
    words = [each for each in command.arguments.split() if not each.startswith("-")]
    return Translation(MEASURES, keeps_body=True, lost=tuple(words[:1]) if command.name == "capture" else ())


def _repeated_cell(command: Command, _folder: Path) -> Translation:
    """Keep the body of `%%timeit` for what it does to objects; what it binds is seen by nobody."""
    body = command.body or ""
    try:
        trees = ast.parse(body).body
    except SyntaxError:
        return Translation(REPEATS)
    return Translation(MEASURES, keeps_body=True) if _only_calls(trees) else Translation(REPEATS)


def _only_calls(trees: list[ast.stmt]) -> bool:
    return bool(trees) and all(isinstance(each, ast.Expr) and isinstance(each.value, ast.Call) for each in trees)


# --- what has an equal in Python ---


def _assigned(command: Command, expression: str) -> str:
    return f"{command.target} = {expression}" if command.target else expression


def _change_folder(command: Command, _folder: Path) -> Translation:
    path = _unquoted(command.arguments)
    if not path or path.startswith("-"):
        return _unknown(command, _folder)
    given = _interpolated(path)
    where = f"os.path.expanduser({given})" if path.startswith("~") else given
    return Translation(TRANSLATED, code=f"import os; os.chdir({where})", lost=_names(command.target))


def _current_folder(command: Command, _folder: Path) -> Translation:
    if not command.target:
        return Translation(SHOWS)
    return Translation(TRANSLATED, code=f"import os; {command.target} = os.getcwd()")


def _environment(command: Command, _folder: Path) -> Translation:
    match = re.match(r"^\s*(?P<name>\w+)\s*(?:=|\s)\s*(?P<value>\S.*?)\s*$", command.arguments)
    name = command.arguments.strip()
    if match:
        code = f"import os; os.environ[{_quoted(match['name'])}] = {_interpolated(_unquoted(match['value']))}"
        return Translation(TRANSLATED, code=code, lost=_names(command.target))
    if command.target and name:
        return Translation(TRANSLATED, code=f"import os; {command.target} = os.environ[{_quoted(name)}]")
    return Translation(SHOWS, lost=_names(command.target))


def _deletion(command: Command, _folder: Path) -> Translation:
    return Translation(TRANSLATED, code=f"del {command.arguments.split()[-1]}" if command.arguments.split() else "")


def _configured(command: Command, _folder: Path) -> Translation:
    """Keep the one setting that changes what a cell shows from its last expression to all of them."""
    match = _EVERY_EXPRESSION.search(command.arguments)
    if not match:
        return Translation(STEERS)
    setting = f"InteractiveShell.ast_node_interactivity = {match['value']}"
    return Translation(TRANSLATED, code=f"from IPython.core.interactiveshell import InteractiveShell; {setting}")


def _interpolated(text: str) -> str:
    """Return the Python literal of a command's argument, in which `{x}` and `$x` stand for values."""
    with_names = re.sub(r"\$(\w+)", r"{\1}", text)
    return f"f{_quoted(with_names)}" if re.search(r"\{[^{}]+\}", with_names) else _quoted(text)


def _quoted(text: str) -> str:
    """Return a literal in double quotes, as formatters write it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unquoted(text: str) -> str:
    stripped = text.strip()
    is_quoted = len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in "\"'"
    return stripped[1:-1] if is_quoted else stripped


def _written(command: Command, _folder: Path) -> Translation:
    """Return code that writes the cell's text, on as many lines as the cell has."""
    words = command.arguments.split()
    path = _unquoted(words[-1]) if words else ""
    if not path or path.startswith("-"):
        return _unknown(command, _folder)
    body = (command.body or "").rstrip("\n") + "\n"
    literal = '"""\\\n' + body.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') + '"""'
    place = f"Path({_interpolated(path)})"
    before = f'{place}.read_text(encoding="utf-8") + ' if {"-a", "--append"} & set(words) else ""
    code = f'from pathlib import Path; {place}.write_text({before}{literal}, encoding="utf-8")'
    return Translation(TRANSLATED, code=code, written_file=(path, body))


# --- the shell ---


def _install(command: Command, folder: Path) -> Translation:
    return Translation(INSTALLS, requirements=installs.requirements(f"{command.name} {command.arguments}", folder))


def _shell(command: Command, folder: Path) -> Translation:
    line, lost = command.arguments.strip(), _names(command.target)
    folders = _MKDIR.match(line)
    if installs.is_install(line):
        return Translation(INSTALLS, requirements=installs.requirements(line, folder), lost=lost)
    if folders and not lost:
        made = "; ".join(f"os.makedirs({_quoted(each)}, exist_ok=True)" for each in shlex.split(folders["folders"]))
        return Translation(TRANSLATED, code=f"import os; {made}")
    if line.startswith("cd "):
        # A shell of its own changes its folder and ends.
        return Translation(SHOWS, lost=lost)
    if _SHOWING_SHELL.match(line):
        return Translation(SHOWS, lost=lost)
    problem = Problem(
        "shell-command",
        f'the shell command "!{line}" is not run',
        "do in Python what the later cells need of it",
    )
    return Translation(SHELL_COMMAND, problem=problem, lost=lost)


def _alias(command: Command, folder: Path) -> Translation:
    """Return what `%mkdir` and the like become: they are the shell's."""
    return _shell(Command(SHELL, f"{command.name} {command.arguments}", command.target), folder)


def _shell_cell(command: Command, folder: Path) -> Translation:
    lines = [each.strip() for each in (command.body or "").splitlines() if each.strip() and each.strip()[0] != "#"]
    if lines and all(installs.is_install(each) for each in lines):
        return Translation(
            INSTALLS, requirements=tuple(each for line in lines for each in installs.requirements(line, folder))
        )
    problem = Problem(
        "shell-command",
        f"the shell commands of a %%{command.name} cell are not run",
        "do in Python what the later cells need of it",
    )
    return Translation(f"a %%{command.name} cell is not Python", problem=problem)


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def _table(*rows: tuple[str, Translate]) -> Mapping[str, Translate]:
    return {name: translator for words, translator in rows for name in words.split()}


_LINE = _table(
    (
        """matplotlib load_ext reload_ext unload_ext autoreload precision autosave notebook pdb colors xmode gui aimport
        autocall automagic alias alias_magic doctest_mode logstart logstop logon logoff pprint page tensorboard
        rehashx unalias bookmark""",
        _dropped(STEERS),
    ),
    (
        """ls ll lx lk lf ldir who whos who_ls hist history pinfo pinfo2 pdoc pdef psource pfile psearch lsmagic magic
        quickref cat less more man clear dirs dhist watermark version_information load loadpy recall edit debug tb""",
        _dropped(SHOWS),
    ),
    ("tensorflow_version", _dropped(COMMAND)),
    ("config", _configured),
    ("time prun memit lprun mprun snakeviz pyinstrument", _measured),
    ("timeit", _dropped(REPEATS)),
    ("pip conda mamba uv", _install),
    ("cd", _change_folder),
    ("pwd", _current_folder),
    ("env set_env", _environment),
    ("xdel", _deletion),
    ("system sx !", _shell),
    ("mkdir cp mv rm rmdir", _alias),
    (HELP, _dropped(HELPS)),
)
_CELL = _table(
    ("time capture prun memit snakeviz pyinstrument notify heat scalene mprun lprun", _measured_cell),
    ("timeit", _repeated_cell),
    ("writefile file", _written),
    ("bash sh script cmd system sx !", _shell_cell),
    ("html HTML javascript js latex markdown svg SVG css", _text_cell),
    ("R julia cython perl ruby sql bigquery python python2 python3 pypy octave matlab stata", _other_language),
)
# Names that IPython takes for commands without a `%`, in a cell of one line.
AUTOMATIC = frozenset(
    """ls ll pwd cd who whos hist history pip conda env matplotlib pylab time timeit run config load_ext reload_ext
    autoreload lsmagic clear mkdir rm cp mv cat more less man prun reset""".split()  # noqa: SIM905
)
