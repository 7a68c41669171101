"""Which expressions treat a table row by row, so that they do the same to the rows of a request as to all rows.

What looks at many rows at once (a mean, the categories of a column, a fit) has to be remembered from training: it is
replaced by what training saved.
"""

import ast
from dataclasses import dataclass, field

from modelwright.notebooks import vocabulary
from modelwright.notebooks.names import Names, root

# ruff: noqa: SIM905 - tables of words are read and edited as words

# Methods and functions that sum up many rows in a value or in a few, which can be remembered.
SUMMARIES = frozenset("mean median mode std var min max quantile sum nunique unique skew nanmean nanmedian".split())
# Those whose result for a row depends on other rows.
_MIXING = frozenset(
    """rank cumsum cumprod cummax cummin shift diff pct_change rolling ewm expanding groupby resample interpolate ffill
    bfill factorize qcut duplicated value_counts pivot pivot_table melt stack unstack corr
    cov normalize scale minmax_scale""".split()
)
# Methods that leave rows out or put them in another order, and change nothing in those that stay.
CHOOSING = frozenset("dropna drop_duplicates sample reset_index sort_values sort_index query head tail".split())
CHOOSING_FUNCTIONS = frozenset({"sklearn.utils.shuffle", "sklearn.utils.resample"})
_JOINING = frozenset("concat append concatenate vstack hstack merge join row_stack column_stack r_ c_".split())
_STACKING = frozenset({"concat", "append", "concatenate", "vstack", "r_", "row_stack"})
STACKS = "it puts tables one below the other"
_BESIDE = frozenset({"hstack", "column_stack", "c_"})
_WORD = "_".join


@dataclass
class Found:
    """What was found in an expression.

    `edits` are expressions with what takes their place in scoring, `hoists` those with what takes their place in
    training, so that a name has what scoring needs. `saved` are those names. `problem` says why it cannot be replayed.
    """

    edits: list[tuple[ast.expr, str]] = field(default_factory=list)
    hoists: list[tuple[ast.expr, str]] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)
    problem: str = ""


class Reader(ast.NodeVisitor):
    """Goes through an expression of the user's and finds what must be remembered."""

    def __init__(self, names: Names, rows: frozenset[str], taken: set[str], *, refitted: frozenset[str]) -> None:
        """Look with `rows` as the names that hold rows, and `taken` as those that new ones must differ from.

        `refitted` are names of transformers that are fitted several times, each of which must be kept apart.
        """
        self.names = names
        self.rows = rows
        self.taken = taken
        self.refitted = refitted
        self.found = Found()
        self._inside = 0

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Go into what runs once for each row."""
        self._deeper(node)

    def visit_For(self, node: ast.For) -> None:
        """Go into what runs several times."""
        self._deeper(node)

    visit_While = visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_For  # type: ignore[assignment]

    def _deeper(self, node: ast.AST) -> None:
        self._inside += 1
        self.generic_visit(node)
        self._inside -= 1

    def visit_Call(self, node: ast.Call) -> None:
        """Tell what a call does with many rows."""
        origin = self.names.origin(node.func) or ""
        last = node.func.attr if isinstance(node.func, ast.Attribute) else origin.rpartition(".")[2]
        if not self._reads_rows(node) or self._is_of_texts(node.func):
            self.generic_visit(node)
        elif last == "fit_transform" and isinstance(node.func, ast.Attribute):
            self._fit_transform(node, node.func)
        elif last in {"fit", "fit_predict", "fit_resample"}:
            self._refuse("it fits in the middle of an expression")
        elif origin == "pandas.get_dummies":
            self._dummies(node)
        elif last in SUMMARIES and not _is_along_columns(node):
            self._summary(node, last)
        elif last in _MIXING or (origin == "pandas.cut" and not _has_edges(node)):
            self._refuse("what it gives for a row depends on other rows")
        elif last in _JOINING and not (last in _BESIDE or _is_along_columns(node)):
            self._refuse(STACKS if last in _STACKING else "it joins tables")
        elif last == "fillna" and any(each.arg == "method" for each in node.keywords):
            self._refuse("what it gives for a row depends on other rows")
        elif origin.rpartition(".")[0] in {"numpy.random", "random"}:
            self._refuse("it draws random numbers")
        else:
            self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Tell the numbers of categories, which all rows decide."""
        is_codes = node.attr == "codes" and isinstance(node.value, ast.Attribute) and node.value.attr == "cat"
        if is_codes and self._reads_rows(node):
            self._refuse("what it gives for a row depends on other rows")
        self.generic_visit(node)

    def _refuse(self, problem: str) -> None:
        self.found.problem = self.found.problem or problem

    def _reads_rows(self, node: ast.AST) -> bool:
        return any(isinstance(each, ast.Name) and each.id in self.rows for each in ast.walk(node))

    def _is_of_texts(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "str"

    def _new_name(self, *words: str) -> str:
        plain = "".join(each if each.isalnum() else "_" for each in _WORD(filter(None, words))).lower().strip("_")
        plain = plain if plain.isidentifier() else f"_{plain}"
        name = next(each for each in (plain, *(f"{plain}_{at}" for at in range(2, 1000))) if each not in self.taken)
        self.taken.add(name)
        return name

    def _fit_transform(self, node: ast.Call, method: ast.Attribute) -> None:
        name, built = root(method.value), method.value
        if self._inside:
            self._refuse("it fits inside a loop")
            return
        if isinstance(built, ast.Call) or name in self.refitted:
            maker = built if isinstance(built, ast.Call) else self.names.constructors.get(name or "")
            if maker is None or self.names.constructor(maker) is None:
                self._refuse("it fits what is fitted again elsewhere")
                return
            kind = (self.names.constructor(maker) or "").rpartition(".")[2].lower()
            name = self._new_name(_column(node.args[0]) if node.args else "", name if name in self.refitted else kind)
            self.found.hoists.append((built, f"({name} := {ast.unparse(maker)})"))
            self.found.saved.append(name)
        elif isinstance(built, ast.Name):
            self.found.saved.append(built.id)
        # What holds it otherwise, a dictionary of encoders for one, is saved as any other name that is read.
        receiver = name if isinstance(built, ast.Call | ast.Name) else ast.unparse(built)
        self.found.edits.append((node.func, f"{receiver}.transform"))
        if len(node.args) > 1:
            self._refuse("it transforms the target too") if isinstance(node.args[1], ast.Starred) else None
            self.found.edits[-1] = (node, f"{receiver}.transform({ast.unparse(node.args[0])})")
        else:
            for each in node.args:
                self.visit(each)

    def _dummies(self, node: ast.Call) -> None:
        if self._inside or not node.args:
            self._refuse("what columns it gives depends on all rows")
            return
        rows = node.args[0]
        text = ast.unparse(rows)
        given = next((each.value for each in node.keywords if each.arg == "columns"), None)
        name = self._new_name(_column(rows), "categories")
        texts = 'select_dtypes(exclude=["number", "bool", "datetime", "timedelta"])'
        known = f"{text}.{texts}" if given is None else f"{text}[{ast.unparse(given)}]"
        made = f'{known}.astype("category").dtypes.to_dict()'
        if _is_column(rows):
            made = f'{text}.astype("category").dtype'
        self.found.hoists.append((rows, f"{text}.astype({name} := {made})"))
        self.found.edits.append((rows, f"{text}.astype({name})"))
        self.found.saved.append(name)

    def _summary(self, node: ast.Call, last: str) -> None:
        if self._inside:
            self._refuse("what it gives for a row depends on other rows")
            return
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else node
        inner = receiver if self._reads_rows(receiver) else node.args[0]
        name = self._new_name(_column(inner), last)
        self.found.hoists.append((node, f"({name} := {ast.unparse(node)})"))
        self.found.edits.append((node, name))
        self.found.saved.append(name)


def chosen_rows(node: ast.expr, names: Names) -> ast.expr | None:
    """Return the rows that an expression only leaves some out of, or sorts; None for any other expression."""
    match node:
        case ast.Call(func=ast.Attribute(value=rows, attr=attr)) if attr in CHOOSING and not _is_along_columns(node):
            is_kept = attr != "reset_index" or any(each.arg == "drop" for each in node.keywords)
            return rows if is_kept else None
        case ast.Call(func=ast.Attribute(value=rows, attr="drop")) if _drops_rows(node):
            return rows
        case ast.Call(func=function, args=[rows, *_]) if names.origin(function) in CHOOSING_FUNCTIONS:
            return rows
        case ast.Subscript(value=rows, slice=index) if _is_choice(index):
            is_located = isinstance(rows, ast.Attribute) and rows.attr in {"loc", "iloc", "ix"}
            return rows.value if is_located else rows  # type: ignore[attr-defined]
    return None


def _is_choice(index: ast.expr) -> bool:
    """Whether an index is a condition on rows or a range of them."""
    if isinstance(index, ast.Slice):
        return index.lower is not None or index.upper is not None
    if isinstance(index, ast.UnaryOp):
        return isinstance(index.op, ast.Invert)
    if isinstance(index, ast.BinOp):
        return isinstance(index.op, ast.BitAnd | ast.BitOr)
    if isinstance(index, ast.Call) and isinstance(index.func, ast.Attribute):
        return index.func.attr in {"isin", "notnull", "notna", "isnull", "isna", "between", "permutation"}
    return isinstance(index, ast.Compare)


def _drops_rows(node: ast.Call) -> bool:
    """Whether `drop` drops rows: by their labels, the first argument, with no axis but 0."""
    if any(each.arg == "columns" for each in node.keywords) or _is_along_columns(node):
        return False
    return bool(node.args) or any(each.arg == "index" for each in node.keywords)


def _is_along_columns(node: ast.Call) -> bool:
    given = [each.value for each in node.keywords if each.arg == "axis"]
    is_method = isinstance(node.func, ast.Attribute)
    given += node.args[1:2] if is_method and getattr(node.func, "attr", "") in {"drop", "dropna"} else []
    return any(isinstance(each, ast.Constant) and each.value in {1, "columns", -1} for each in given)


def _has_edges(node: ast.Call) -> bool:
    bins = [*node.args[1:2], *(each.value for each in node.keywords if each.arg == "bins")]
    return any(not (isinstance(each, ast.Constant)) for each in bins)


def _column(node: ast.expr) -> str:
    """Return the column that an expression is about, else the variable."""
    texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if len(texts) == 1:
        return texts[0]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr != "values":
        return node.attr
    return root(node) or ""


def _is_column(node: ast.expr) -> bool:
    """Whether an expression is one column of a table: `df["sex"]`, `df.sex`."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant)
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)


def mixes_rows(tree: ast.AST) -> bool:
    """Whether the body of a function of the user's looks at many rows at once."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        last = node.func.attr
        is_text = isinstance(node.func.value, ast.Attribute) and node.func.value.attr == "str"
        if is_text or _is_along_columns(node):
            continue
        if last in SUMMARIES | _MIXING | vocabulary.FITTING_METHODS | {"get_dummies"}:
            return True
    return False
