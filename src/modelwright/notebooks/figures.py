"""The figures of a notebook: the runs of statements that draw one, and which of them depend on a model."""

import ast
import re
from collections.abc import Collection, Iterator, Sequence

from modelwright.notebooks import names, shaping, vocabulary
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.effects import FIGURE
from modelwright.notebooks.results import Results
from modelwright.notebooks.slicing import Slice

# What a figure shows, by the function, class or fitted attribute that it is made with; those that say most come first.
_KINDS = {
    "confusion_matrix": r"(plot_)?confusion_matrix|ConfusionMatrixDisplay|ConfusionMatrix",
    "roc_curve": r"(plot_)?roc_curve|RocCurveDisplay|plot_roc|ROCAUC",
    "precision_recall_curve": r"(plot_)?precision_recall_curve|PrecisionRecallDisplay|plot_precision_recall",
    "calibration_curve": r"calibration_curve|CalibrationDisplay",
    "feature_importances": r"feature_importances_|plot_importance|permutation_importance",
    "shap_values": r"shap_values|summary_plot",
    "learning_curve": r"(plot_)?learning_curve|LearningCurveDisplay",
    "validation_curve": r"validation_curve|ValidationCurveDisplay",
    "dendrogram": r"dendrogram",
    "tree": r"plot_tree",
    "decision_boundary": r"DecisionBoundaryDisplay|plot_decision_boundary|plot_decision_regions|contourf",
    "silhouettes": r"silhouette_samples|silhouette_score",
    "inertia": r"inertia_|KElbowVisualizer",
    "explained_variance": r"explained_variance_ratio_|explained_variance_",
    "clusters": r"cluster_centers_|labels_",
    "coefficients": r"coef_",
}
# Fits that turn rows into others which are looked at for themselves.
_EMBEDDINGS = frozenset("PCA KernelPCA IncrementalPCA TSNE MDS Isomap UMAP TruncatedSVD NMF FastICA".split()) | {  # noqa: SIM905 - read as words
    "LinearDiscriminantAnalysis",
    "LocallyLinearEmbedding",
    "NeighborhoodComponentsAnalysis",
    "SpectralEmbedding",
}
# What sets how all figures look.
_STYLE = re.compile(r"seaborn\.set\w*|matplotlib(\.pyplot)?\.(style\.use|rc|rcParams(\.update)?|set_cmap)")
_WIDTH_OF_TITLE = 70
_FRESH = frozenset({"matplotlib.pyplot.figure", "matplotlib.pyplot.subplots"})
# What only finishes a figure, or writes it to a file.
_FINISHING = frozenset({"savefig", "tight_layout", "gcf", "close", "show"})


def figures(flow: Flow, kept: Slice, results: Results) -> list[tuple[int, ...]]:
    """Return the statements, none of them kept, of each figure that depends on a model."""
    starts = _starts(flow, results)
    dependent = starts | flow.descendants(starts)
    return [
        group
        for group in _groups(flow, kept)
        if dependent & set(group) and any(_has_drawn(index, flow) for index in group)
    ]


def style(flow: Flow, kept: Slice, taken: Collection[int]) -> list[int]:
    """Return the statements, neither kept nor `taken`, that set how all figures look and need no variable for it."""
    return [
        each.index
        for each in flow.statements
        if each.index not in kept.body | kept.settings | kept.definitions | set(taken)
        and isinstance(each.tree, ast.Expr | ast.Assign)
        and any(_STYLE.fullmatch(origin) for origin in _origins(each.tree, flow))
        and not flow.effects[each.index].binds - {FIGURE}
        and all(names.is_import(flow.statements[source].tree) for source in flow.data_sources[each.index])
    ]


def _has_drawn(index: int, flow: Flow) -> bool:
    """Whether a statement draws: as it was seen to, or else as its text says."""
    seen = flow.seen.get(index)
    return seen.figures > 0 if seen else FIGURE in flow.effects[index].changes


def _starts(flow: Flow, results: Results) -> frozenset[int]:
    """Return the statements that learn; in a notebook that fits nothing, those that may do so step by step."""
    learning = results.learning
    embedding = {
        index
        for index, name in learning.fits
        if (built := flow.names.constructors.get(name)) is not None
        and (flow.names.constructor(built) or "").rpartition(".")[2] in _EMBEDDINGS
    }
    has_fits = any(
        isinstance(each, ast.Attribute) and each.attr in vocabulary.FITTING_METHODS | vocabulary.TRAINING_METHODS
        for one in flow.statements
        for each in ast.walk(one.tree)
    )
    if learning.fits or has_fits:
        return frozenset(each for each in learning.training if not _resamples(flow.statements[each].tree)) | embedding
    looping = {
        each.tree.name
        for each in flow.statements
        if isinstance(each.tree, names.Definition)
        and any(isinstance(node, ast.For | ast.While) for node in ast.walk(each.tree))
    }
    return frozenset(
        index for index in learning.training if _loops(flow.statements[index].tree, looping) and not _reads(flow, index)
    )


def _resamples(tree: ast.stmt) -> bool:
    """Whether all that a statement fits is what draws other rows."""
    called = {
        each.func.attr for each in ast.walk(tree) if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute)
    }
    return called & vocabulary.FITTING_METHODS == {"fit_resample"}


def _loops(tree: ast.stmt, looping: Collection[str]) -> bool:
    called = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
    return isinstance(tree, ast.For | ast.While) or bool(called & set(looping))


def _reads(flow: Flow, index: int) -> bool:
    seen = flow.seen.get(index)
    return seen is not None and bool(seen.read)


def _groups(flow: Flow, kept: Slice) -> Iterator[tuple[int, ...]]:
    """Give the statements that draw one figure together: those of a cell, up to the one that shows it."""
    group: list[int] = []
    for each in flow.statements:
        is_other_cell = bool(group) and flow.statements[group[-1]].cell != each.cell
        is_fresh = bool(_origins(each.tree, flow) & _FRESH) and not isinstance(each.tree, ast.For | ast.While)
        has_drawn = any(_has_drawn(index, flow) for index in group)
        if is_other_cell or (is_fresh and has_drawn):
            yield tuple(group)
            group = []
        if each.index not in kept.body | kept.definitions and _draws(each.index, flow):
            group.append(each.index)
            if isinstance(each.tree, ast.Expr) and "matplotlib.pyplot.show" in _origins(each.tree, flow):
                yield tuple(group)
                group = []
    if group:
        yield tuple(group)


def _draws(index: int, flow: Flow) -> bool:
    """Whether a statement draws, or calls a library of plots."""
    tree = flow.statements[index].tree
    if names.is_import(tree) or names.is_definition(tree):
        return False
    libraries = {each.partition(".")[0] for each in _origins(tree, flow)}
    return FIGURE in flow.effects[index].changes or bool(libraries & vocabulary.PLOT_LIBRARIES)


def _origins(tree: ast.stmt, flow: Flow) -> set[str]:
    found = {flow.names.origin(each) for each in ast.walk(tree) if isinstance(each, ast.Name | ast.Attribute)}
    return {each for each in found if each}


def only_saves(index: int, flow: Flow) -> bool:
    """Whether a statement only writes the figure to a file, be it in a function of the user's, or closes it.

    Whoever draws a report saves its figures, and closes them after that.
    """
    tree = flow.statements[index].tree
    if not isinstance(tree, ast.Expr) or not isinstance(tree.value, ast.Call):
        return False
    called = tree.value.func
    if isinstance(called, ast.Attribute):
        return called.attr == "savefig" or flow.names.origin(called) == "matplotlib.pyplot.close"
    own = next(
        (
            each.tree
            for each in flow.statements
            if isinstance(each.tree, ast.FunctionDef) and isinstance(called, ast.Name) and each.tree.name == called.id
        ),
        None,
    )
    if own is None:
        return False
    plotted = [
        (flow.names.origin(each.func) or f".{each.func.attr if isinstance(each.func, ast.Attribute) else ''}")
        for each in ast.walk(own)
        if isinstance(each, ast.Call)
    ]
    drawn = [each for each in plotted if each.partition(".")[0] in vocabulary.PLOT_LIBRARIES or each == ".savefig"]
    last = {each.rpartition(".")[2] for each in drawn}
    return "savefig" in last and last <= _FINISHING


# --- names ---


def candidates(
    group: Sequence[int], included: Collection[int], flow: Flow, models: Sequence[str]
) -> list[tuple[str, str]]:
    """Return what to call the function that draws a figure of `models`, the most telling first, and what it is for."""
    trees = [flow.statements[index].tree for index in sorted({*group, *included})]
    kinds = _kind(trees)
    kind_words = "".join(kinds).replace("_", " ").replace("roc", "ROC").replace("shap", "SHAP")
    found = []
    for title in _title(trees):
        told = f'Draw "{title}".'
        found += [
            (shaping.heading_words(title), told),
            *((f"{kind}_{shaping.heading_words(title)}", told) for kind in kinds),
        ]
    found += [(kind, f"Draw the {kind_words}.") for kind in kinds]
    heading = flow.statements[group[0]].heading
    words = shaping.heading_words(heading)
    told = f"Draw the {kind_words}" if kinds else "Draw what belongs"
    found += [(f"{words}_{kind}", f'{told} of "{_plain(heading)}".') for kind in kinds if words]
    found += [(words, f'{told} to "{_plain(heading)}".')] if words and not kinds else []
    plain = [*kinds, *_plotted(group, flow)]
    found += [(f"{name}_{each.lower()}", f"Draw what `{each}` gives.") for each in models for name in plain[:1]]
    found += [(name, f"Draw `{name}`.") for name in plain]
    found.append(("figure", "Draw a figure."))
    return [(f"plot_{short}", told) for name, told in found if (short := re.sub(r"^(plot|plotting)_", "", name))]


def _plain(text: str) -> str:
    """Return a heading or a title as a line of a docstring can hold it."""
    short = re.sub(r"[^\w\s,:;'()/+=<>&%!?*.-]", "", " ".join(text.split())).strip(" .:-")
    return short if len(short) <= _WIDTH_OF_TITLE else f"{short[:_WIDTH_OF_TITLE].rpartition(' ')[0]} ..."


def _title(trees: Sequence[ast.stmt]) -> list[str]:
    """Return the title, if the figure has just one that is written out."""
    texts = set()
    for node in (each for tree in trees for each in ast.walk(tree) if isinstance(each, ast.Call)):
        last = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        given = [*node.args[:1]] if last in {"title", "set_title", "suptitle"} else []
        given += [each.value for each in node.keywords if each.arg == "title"]
        texts |= {each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    plain = {_plain(each) for each in texts if shaping.heading_words(each)}
    return list(plain) if len(plain) == 1 else []


def _kind(trees: Sequence[ast.stmt]) -> list[str]:
    nodes = [each for tree in trees for each in ast.walk(tree)]
    used = {each.attr for each in nodes if isinstance(each, ast.Attribute)}
    used |= {each.id for each in nodes if isinstance(each, ast.Name)}
    return [kind for kind, pattern in _KINDS.items() if any(re.fullmatch(pattern, each) for each in used)][:1]


def _plotted(group: Sequence[int], flow: Flow) -> list[str]:
    """Return a name by what is plotted: the function of the first call that is given a variable, with that."""
    for node in (
        each for index in group for each in ast.walk(flow.statements[index].tree) if isinstance(each, ast.Call)
    ):
        last = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        inside = [one for each in (*node.args, *(each.value for each in node.keywords)) for one in ast.walk(each)]
        given = [each.id for each in inside if isinstance(each, ast.Name) and each.id not in flow.names.imports]
        if given and last.isidentifier() and last not in _FINISHING:
            name = given[0].lower()
            return [name if last == "plot" else last.lower() if last.startswith("plot_") else f"{last.lower()}_{name}"]
    return []
