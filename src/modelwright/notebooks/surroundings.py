"""What a notebook takes from where and when it runs: places on one machine, the network, the clock, credentials."""

import ast
import re
from collections.abc import Iterator, Sequence

from modelwright.notebooks import constants, credentials, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.statements import Statement
from modelwright.records import Finding

_ABSOLUTE = re.compile(
    r"^(?:/(?:home|Users|mnt|media|content|kaggle|root|var|opt|srv|data|Volumes|dbfs|scratch)/|~[/\\]"
    r"|[A-Za-z]:[\\/](?!/)|\\\\\w)[^\n]{0,300}$"
)
_ADDRESS = re.compile(r"^(?:https?|ftp|s3|gs|gcs|hdfs|abfss?|wasbs?)://", re.IGNORECASE)

_CLOCKS = frozenset(
    """datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today time.time time.ctime
    time.localtime time.gmtime time.asctime time.strftime time.time_ns pandas.Timestamp.now pandas.Timestamp.today
    pandas.Timestamp.utcnow""".split()  # noqa: SIM905
)
_CLOCK_MODULES = frozenset({"datetime", "datetime.datetime", "datetime.date", "time", "pandas"}) | _CLOCKS
# What is measured with these is a duration, and a duration that is shown is no result.
_SHOWING = frozenset({"print", "display"})

_NETWORK = re.compile(
    r"^(?:requests\.(?:get|post|put|head|request|Session)|httpx\.\w+|urllib\.request\.(?:urlopen|urlretrieve)"
    r"|urllib\.(?:urlopen|urlretrieve)|urllib2\.urlopen|wget\.download|gdown\.download|kagglehub\.\w+"
    r"|sklearn\.datasets\.fetch_\w+|seaborn\.load_dataset|nltk\.download|gensim\.downloader\.load"
    r"|(?:tensorflow\.)?keras\.datasets\.\w+\.load_data|(?:tensorflow\.)?keras\.utils\.get_file"
    r"|tensorflow_datasets\.load|datasets\.load_dataset|yfinance\.\w+|pandas_datareader\.\S+"
    r"|openml\.datasets\.get_dataset|(?:\w+\.)*get_rdataset|transformers\.\w+\.from_pretrained|torch\.hub\.\w+)$"
)


def findings(notebook: str, flow: Flow) -> list[Finding]:
    """Return what ties the notebook's results to a machine, an address or a time; no credential is told."""
    values = constants.assigned_values(flow)
    asks_clock = bool(set(flow.names.imports.values()) & _CLOCK_MODULES)
    durations = _durations(flow.statements) if asks_clock else frozenset()
    found = []
    for statement in flow.statements:
        parents = {child: node for node in ast.walk(statement.tree) for child in ast.iter_child_nodes(node)}
        told = [
            *_paths(statement, parents),
            *_secrets(statement),
            *_addresses(statement, flow, values),
            *(_clocks(statement, flow, parents, durations) if asks_clock else ()),
        ]
        found += [
            Finding(code, message, fix, notebook, statement.cell, line)
            for line, code, message, fix in dict.fromkeys(told)
        ]
    return found


Told = tuple[int, str, str, str]
Parents = dict[ast.AST, ast.AST]


def _paths(statement: Statement, parents: Parents) -> Iterator[Told]:
    for node in ast.walk(statement.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if _ABSOLUTE.match(node.value) and not isinstance(parents.get(node), ast.Expr):
            path = credentials.masked(node.value)
            fix = "write the path relative to the notebook"
            yield node.lineno, "absolute-path", f'"{path}" is a place on one machine', fix


def _secrets(statement: Statement) -> Iterator[Told]:
    for node, kind in credentials.in_code(statement.tree):
        yield (
            node.lineno,
            "credentials-in-code",
            f"{kind} stands in the code, and would in the project",
            "revoke it, and read it from an environment variable: os.environ[NAME]",
        )


def _addresses(statement: Statement, flow: Flow, values: dict[str, ast.expr]) -> Iterator[Told]:
    for node in ast.walk(statement.tree):
        if not isinstance(node, ast.Call):
            continue
        origin = flow.names.origin(node.func) or ""
        reads_address = False
        if node.args and (origin in vocabulary.READING_FUNCTIONS or origin.startswith("pandas.read_")):
            path = constants.text(node.args[0], names=flow.names, values=values)
            reads_address = path is not None and _ADDRESS.match(path) is not None
        if reads_address or _NETWORK.match(origin):
            yield (
                node.lineno,
                "network-access",
                f"{origin} asks another machine, whose answer may change or fail",
                "save what it gives beside the notebook, and read it from there",
            )


# --- the clock ---


def _clocks(statement: Statement, flow: Flow, parents: Parents, durations: frozenset[str]) -> Iterator[Told]:
    for node in ast.walk(statement.tree):
        if not isinstance(node, ast.Call) or (flow.names.origin(node.func) or "") not in _CLOCKS:
            continue
        above = list(_ancestors(node, parents))
        nearest = next((each for each in above if isinstance(each, ast.stmt)), None)
        is_stopwatch = flow.names.origin(node.func) == "time.time" and above[:1] == [nearest]
        if is_stopwatch or any(_is_difference(each) or _is_shown(each) for each in above):
            continue
        targets = _stored(nearest or node)
        if isinstance(nearest, ast.Expr) or (targets and targets <= durations):
            continue
        yield (
            node.lineno,
            "clock-dependent",
            f"{ast.unparse(node.func)}() gives another value in each run",
            "assign a fixed date or time; it becomes a parameter",
        )


def _durations(statements: Sequence[Statement]) -> frozenset[str]:
    """Return the names that are only ever read to take a difference, or to be shown."""
    other: set[str] = set()
    for statement in statements:
        parents = {child: node for node in ast.walk(statement.tree) for child in ast.iter_child_nodes(node)}
        read = [node for node in parents if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
        for node in read:
            if not any(_is_difference(each) or _is_shown(each) for each in _ancestors(node, parents)):
                other.add(node.id)
    return frozenset(name for each in statements for name in _stored(each.tree)) - other


def _ancestors(node: ast.AST, parents: Parents) -> Iterator[ast.AST]:
    while node in parents:
        node = parents[node]
        yield node


def _is_difference(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)


def _is_shown(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SHOWING


def _stored(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
