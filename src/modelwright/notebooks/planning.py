"""Notebooks into a plan: all that a project will be made of, and every decision on the way. Nothing is run."""

import ast
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from modelwright.errors import NotebookNotConvertible
from modelwright.notebooks import (
    checking,
    closures,
    constants,
    dataflow,
    importing,
    learning,
    names,
    parameters,
    paths,
    reading,
    rendering,
    reporting,
    results,
    scoring,
    shaping,
    slicing,
    statements,
    supplying,
    vocabulary,
)
from modelwright.notebooks.closures import Closures
from modelwright.notebooks.dataflow import Flow
from modelwright.notebooks.parameters import Parameters
from modelwright.notebooks.results import Results
from modelwright.notebooks.shaping import EVALUATE, PREPARE, SAVE, SPLIT, TRAIN, Stage
from modelwright.notebooks.slicing import Slice
from modelwright.notebooks.supplying import Training
from modelwright.records import Finding, Function, Metric, Notebook, Plan, ProbePoint, Shown, Trace

# The kinds of caution that are worth a try, in this order; see `slicing.keep`.
CAUTIONS = (0, 1, 3)

_MODEL_FILE = {"joblib": "model.joblib", "pickle": "model.pkl"}


def plan(
    training: Notebook,
    scoring_notebook: Notebook | None = None,
    *,
    trace: Trace | None = None,
    caution: int = 0,
    derived: scoring.Script | None = None,
) -> Plan:
    """Return what the notebooks become. `trace` is what was seen when the training notebook ran.

    `derived` is the scoring script if it was derived from the training notebook.

    With more `caution` more of the notebook stays, needed or not; see `slicing.keep`.

    Raises NotebookNotConvertible for the first finding that makes a true conversion impossible.
    """
    flow = dataflow.flow(statements.statements(training), trace)
    found = results.results(flow)
    findings = [*checking.findings(training, flow), *checking.result_findings(training, flow, found)]
    _stop_at_errors(findings)
    kept = slicing.keep(flow, found, caution=caution)
    findings += _unknown_calls(training, flow, kept)
    _stop_at_errors(findings)
    given = parameters.find(flow, kept, found)
    shaped = supplying.completed(Training(flow, kept, found, given, shaping.stages(flow, kept, found, given)))
    model = found.model
    model_file, loader = _model_file(found, model)
    located = paths.paths(flow, kept, found)
    data_files = located.data_files
    closed = closures.closures(flow, kept)
    findings += _impossible_definitions(training, flow, closed)
    _stop_at_errors(findings)
    known = rendering.context(flow, found, given, paths=located.edits, closures=closed, draws=kept.draws)
    functions = _functions(shaped, known, model=model, model_file=model_file)
    saved = _saved_files(found, model_file)
    script, more_findings = (
        (derived, [])
        if derived
        else _script(
            scoring_notebook,
            [model_file, *saved] if model and _predicts(model, flow, found) else [],
            loader,
            has_preparation=_prepares(shaped, found),
            has_frames=_has_frames(flow, kept),
        )
    )
    findings += more_findings
    _stop_at_errors(findings)
    extra_imports = ["os", *([] if found.saves or not model else [loader]), *rendering.seed_imports(shaped, flow)]
    definitions = rendering.definitions(flow, sorted(kept.settings | kept.definitions), known)
    shown = _shown(flow, shaped, known)
    used = _names_in([definitions, _table_width(flow, shown), *(each.code for each in functions)])
    extra_imports += sorted({"functools", "pathlib"} & used)
    imports = importing.lines(flow, (kept.imports | rendering.seed_names(shaped, flow)) & used, extra_imports)
    gone = slicing.removals(training, flow, kept, absorbed=frozenset(given.constants.values()), results=found)
    trained = Training(flow, kept, found, given, shaped)
    report, gone = reporting.report(training, trained, known, functions=functions, removals=gone)
    modules = set(importing.modules(imports)) | script.modules | reporting.modules(report)
    own = {each: files for each in modules if (files := _own_files(training, each))}
    return Plan(
        notebook=training.path.name,
        digest=_digest(training, scoring_notebook),
        imports=imports,
        definitions=_project_folder(data_files) + _table_width(flow, shown) + definitions,
        functions=tuple(functions),
        parameters=(*given.values, *([known.defaults[known.seed]] if any(each.seeds for each in shaped) else [])),
        metrics=_metrics(shaped, known),
        model=model,
        model_file=model_file,
        loader=loader,
        score=script.code,
        sample_request=script.sample_request,
        scoring_files=tuple((path, saved[name]) for path, name in script.loads.items() if name in saved),
        measured=known.measured,
        modules=tuple(sorted(modules - own.keys())),
        data_files=tuple(sorted({*data_files, *(file for files in own.values() for file in files)})),
        estimator_keywords=_estimator_keywords(flow, given, model),
        removals=(*gone, *script.removals),
        findings=tuple(findings),
        training_probe=tuple(
            replace(each, expression=dataflow.in_notebook(each.expression, flow))
            for each in _training_probe(flow, shaped, known, found, model)
        ),
        shown=tuple(shown),
        written_files=tuple(_written_files(flow, kept)),
        scoring_probe=script.probe,
        report=report,
    )


def watched(training: Notebook, scoring_notebook: Notebook | None = None) -> dict[int, frozenset[str]]:
    """Return the names that a trace of the training notebook looks at, by statement.

    Raises NotebookNotConvertible for what is known to be impossible before anything ran.
    """
    flow = dataflow.flow(statements.statements(training))
    _stop_at_errors(checking.findings(training, flow))
    if scoring_notebook:
        _stop_at_errors(check(scoring_notebook))
    return dataflow.watched(flow)


def _own_files(notebook: Notebook, module: str) -> list[str]:
    """Return the files of a module of the user's: beside the notebook, or written by one of its cells."""
    written = [file for file, _ in notebook.written_files if file == f"{module}.py"]
    # Repositories keep what their notebooks share in the folder above, which these put on the path.
    above = importing.beside(notebook.path.parent.parent, module) if reading.imports_from_above(notebook) else []
    return written or importing.beside(notebook.path.parent, module) or [f"../{each}" for each in above]


def _names_in(codes: Sequence[str]) -> set[str]:
    """Return the names that code reads; paths that were replaced may have been all that needed an import."""
    return {each.id for code in codes for each in ast.walk(ast.parse(code)) if isinstance(each, ast.Name)}


def check(notebook: Notebook) -> list[Finding]:
    """Return the findings of any notebook, before anything of it runs."""
    return checking.findings(notebook, dataflow.flow(statements.statements(notebook)))


def _digest(training: Notebook, scoring_notebook: Notebook | None) -> str:
    from blake3 import blake3

    digests = [each.digest for each in (training, scoring_notebook) if each is not None]
    return blake3("\0".join(digests).encode()).hexdigest()


def _stop_at_errors(findings: Sequence[Finding]) -> None:
    for each in findings:
        if each.is_error:
            raise NotebookNotConvertible(
                notebook=each.notebook,
                message=each.message,
                place=f" (cell {each.cell}, line {each.line})" if each.cell else "",
                fix=each.fix,
                finding=each,
            )


def _impossible_definitions(notebook: Notebook, flow: Flow, closed: Closures) -> list[Finding]:
    return [
        Finding(
            code="function-reads-variable",
            message=f'"{flow.statements[index].source.splitlines()[0]}" reads the variable "{name}" of the notebook',
            fix=f'give "{name}" to it as an argument',
            notebook=notebook.path.name,
            cell=flow.statements[index].cell,
            line=flow.statements[index].line,
            is_error=True,
        )
        for index, name in closed.impossible
    ]


def _unknown_calls(notebook: Notebook, flow: Flow, kept: Slice) -> list[Finding]:
    return [
        Finding(
            code="unknown-call",
            message=f'"{each.source.splitlines()[0]}" is kept, for what it does is not known',
            fix="delete the line if nothing needs it",
            notebook=notebook.path.name,
            cell=each.cell,
            line=each.line,
        )
        for each in flow.statements
        if each.index in kept.body and slicing.is_unknown_call(each, flow)
    ]


# --- files ---


def _model_file(found: Results, model: str) -> tuple[str, str]:
    """Return the name of the model's file and the library that loads it."""
    for each in found.saves:
        if isinstance(each.value, ast.Name) and each.value.id == model and each.file:
            return PurePosixPath(each.file).name, each.loader
    if found.saves and found.saves[-1].file:
        return PurePosixPath(found.saves[-1].file).name, found.saves[-1].loader
    return _MODEL_FILE["joblib"], "joblib"


def _saved_files(found: Results, model_file: str) -> dict[str, str]:
    """Return the names in the output folder of what is saved, each with the notebook's path; the model's first."""
    paths = {PurePosixPath(each.file).name: each.file for each in found.saves if each.file}
    return {name: paths[name] for name in sorted(paths, key=lambda name: name != model_file)}


def _project_folder(data_files: Sequence[str]) -> str:
    """Return the line that names the project's folder, if files are read from it."""
    return "PROJECT = os.path.dirname(os.path.abspath(__file__))\n" if data_files else ""


# --- functions ---


def _functions(shaped: Sequence[Stage], known: rendering.Context, *, model: str, model_file: str) -> list[Function]:
    functions: list[Function] = []
    measured = False
    for stage in shaped:
        extra = []
        if stage.role == SAVE and not stage.statements:
            extra = [f"joblib.dump({model}, {paths.in_output_folder(model_file)})"]
        functions.append(rendering.function(stage, known, extra=extra, metrics_so_far=measured))
        measured = measured or bool(rendering.measures_of(stage, known))
    return functions


def _metrics(shaped: Sequence[Stage], known: rendering.Context) -> tuple[Metric, ...]:
    """Return the metrics, those of the rows learnt from last: the first one is what models are compared by."""
    found = [
        Metric(each.name, vocabulary.goal_of(each.name, each.function))
        for stage in shaped
        for index in stage.statements
        for each in known.measures.get(index, ())
    ]
    return tuple(sorted(found, key=lambda each: each.name.startswith("train")))


def _estimator_keywords(flow: Flow, given: Parameters, model: str) -> tuple[tuple[str, str], ...]:
    """Return the parameters that the model's own constructor is given, each with its keyword."""
    built = flow.names.constructors.get(model)
    if built is None or not flow.names.is_estimator(built):
        return ()
    replaced = {each.expression: each.parameter for each in given.literals}
    known = {each.name for each in given.values}
    found = {}
    for each in built.keywords:
        name = replaced.get(each.value) or (each.value.id if isinstance(each.value, ast.Name) else "")
        if each.arg and name in known:
            found[name] = each.arg
    unpacked = {each.value.id for each in built.keywords if each.arg is None and isinstance(each.value, ast.Name)}
    values = constants.assigned_values(flow)
    for literal in given.literals:
        owner = flow.statements[literal.statement].tree
        if literal.estimator_keyword and any(values.get(name) is getattr(owner, "value", None) for name in unpacked):
            found[literal.parameter] = literal.estimator_keyword
    return tuple(found.items())


def _predicts(model: str, flow: Flow, found: Results) -> bool:
    """Whether a model answers rows; what only turns rows into others does not."""
    return model not in found.learning.transformers and not learning.is_transformer(model, flow.names)


def _prepares(shaped: Sequence[Stage], found: Results) -> bool:
    return bool(found.learning.transformers) and any(stage.statements for stage in shaped)


def _has_frames(flow: Flow, kept: Slice) -> bool:
    """Whether kept statements make frames, from which models learn the columns' names."""
    called = [
        node for index in kept.body for node in ast.walk(flow.statements[index].tree) if isinstance(node, ast.Call)
    ]
    return any(
        (flow.names.origin(each.func) or "").startswith("pandas.")
        or any(one.arg == "as_frame" for one in each.keywords)
        for each in called
    )


# --- scoring ---


def _script(
    notebook: Notebook | None, files: Sequence[str], loader: str, *, has_preparation: bool, has_frames: bool
) -> tuple[scoring.Script, list[Finding]]:
    """Return the scoring script: the notebook's, or else one for rows as the model sees them.

    `files` are the names of what training saves, the model's first; without a model there is nothing to score with.
    """
    if not files:
        return scoring.Script("", None, {}, frozenset(), (), ()), []
    if notebook is None:
        finding = Finding(
            code="scoring-takes-prepared-rows",
            message="there is no scoring notebook; score.py takes rows as the model sees them, after preparation",
            fix="add a scoring notebook that prepares the rows of a request",
            notebook="",
        )
        return scoring.default(files[0], loader, has_frames=has_frames), [finding] if has_preparation else []
    flow = dataflow.flow(statements.statements(notebook))
    findings = checking.findings(notebook, flow)
    findings += _strange_loads(notebook, flow, files)
    _stop_at_errors(findings)
    script = scoring.from_notebook(notebook, flow, files)
    if script is None:
        findings.append(
            Finding(
                code="scoring-not-understood",
                message="no path from a request to the model's answer was found; score.py is a default one",
                fix="load the model, assign a sample request, predict, and show the answer, in this order",
                notebook=notebook.path.name,
            )
        )
        return scoring.default(files[0], loader, has_frames=has_frames), findings
    return script, findings


def _strange_loads(notebook: Notebook, flow: Flow, files: Sequence[str]) -> list[Finding]:
    """Return the files loaded that training does not save: one of them can only be the model, more cannot."""
    strange = [each for each in scoring.loading(flow) if PurePosixPath(each.file).name not in files]
    is_model = len({each.file for each in strange}) == 1 and not any(
        PurePosixPath(each.file).name == files[0] for each in scoring.loading(flow)
    )
    return [
        Finding(
            code="scoring-loads-other-file",
            message=f'"{each.file}" is loaded, and training saves "{files[0]}"'
            + (", which takes its place" if is_model else ""),
            fix=f'load "{files[0]}"' if is_model else f'save "{each.file}" in the training notebook',
            notebook=notebook.path.name,
            cell=each.statement.cell,
            line=each.statement.line,
            is_error=not is_model,
        )
        for each in strange
    ]


# --- what to compare ---


def _shown(flow: Flow, shaped: Sequence[Stage], known: rendering.Context) -> list[Shown]:
    """Return what the kept statements showed, as far as the project prints it as a text rather than a metric."""
    found = []
    for index in (each for stage in shaped for each in stage.statements):
        one, seen = flow.statements[index], flow.seen.get(index)
        is_metric = any(not each.is_bound for each in known.measures.get(index, ()))
        is_bare = one.is_displayed and not rendering.prints(one.tree)
        if seen is None or not seen.printed.strip() or (index not in known.shows and (is_metric or is_bare)):
            continue
        found.append(Shown(index, one.cell, one.line, seen.printed, is_bare))
    return found


def _table_width(flow: Flow, shown: Sequence[Shown]) -> str:
    """Return the setting by which pandas shows tables outside of a notebook as it does inside, if any is that wide."""
    pandas = next((name for name, origin in flow.names.imports.items() if origin == "pandas"), None)
    is_wide = any(line.rstrip().endswith("\\") for each in shown for line in each.text.splitlines())
    return f'{pandas}.set_option("display.max_columns", 20)\n' if pandas and is_wide else ""


def _written_files(flow: Flow, kept: Slice) -> list[str]:
    """Return the files that kept statements were seen to write beside the notebook."""
    written = [file for index, seen in sorted(flow.seen.items()) if index in kept.body for file in seen.written]
    return [each for each in dict.fromkeys(written) if not PurePosixPath(each).is_absolute()]


def _training_probe(
    flow: Flow, shaped: Sequence[Stage], known: rendering.Context, found: Results, model: str
) -> list[ProbePoint]:
    points = []
    for stage in shaped:
        for index in stage.statements:
            one = flow.statements[index]
            for measure in known.measures.get(index, ()):
                expression = measure.place if measure.is_bound else one.source_of(measure.expression)
                points.append(ProbePoint(one.cell, one.end_line, "metric", measure.name, expression))
        shown = list(stage.outputs)
        if stage.statements:
            last = flow.statements[max(stage.statements)]
            points += [ProbePoint(last.cell, last.end_line, "part", f"{stage.name}.{each}", each) for each in shown]
        if stage.role == SPLIT and stage.statements:
            parts = "{" + ", ".join(f'"{each}": {each}' for each in shown) + "}"
            points.append(ProbePoint(last.cell, last.end_line, "overlap", stage.name, parts))
    return points + _prediction_points(flow, shaped, found, model)


def _prediction_points(flow: Flow, shaped: Sequence[Stage], found: Results, model: str) -> list[ProbePoint]:
    """Return where rows to predict on are put aside, and where the model as saved predicts on them."""
    place = _rows(flow, shaped, found, model)
    fits = [index for index, name in found.learning.fits if name == model]
    saved = next((each for each in found.saves if isinstance(each.value, ast.Name) and each.value.id == model), None)
    final = saved.statement if saved else max(fits, default=-1)
    if place is None or final < 0:
        return []
    one = flow.statements[place[0]]
    last = flow.statements[max(final, place[0])]
    return [
        ProbePoint(one.cell, one.end_line, "rows", "rows", one.source_of(place[1])),
        ProbePoint(last.cell, last.end_line, "predictions", "predictions", model),
        ProbePoint(last.cell, last.end_line, "certainty", "certainty", model),
    ]


def _rows(flow: Flow, shaped: Sequence[Stage], results: Results, model: str) -> tuple[int, ast.expr] | None:
    """Return the statement and expression of rows given to the model: those it is tested with, else learns from.

    A model that is fitted more than once may learn from other columns in the end.
    """
    last_fit = max((index for index, name in results.learning.fits if name == model), default=-1)
    ordered = [
        index
        for role in (EVALUATE, TRAIN, PREPARE)
        for stage in shaped
        if stage.role == role
        for index in stage.statements
    ]
    wanted = [vocabulary.PREDICTING_METHODS, vocabulary.FITTING_METHODS]
    for methods in wanted:
        found = [
            (index, node.args[0])
            for index in ordered
            for node in ast.walk(flow.statements[index].tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in methods
            and names.root(node.func.value) == model
            and node.args
            and not isinstance(node.args[0], ast.Starred)
        ]
        found = [each for each in found if each[0] >= last_fit] or found
        if found:
            return next((each for each in found if "test" in ast.unparse(each[1]).lower()), found[0])
    return None
