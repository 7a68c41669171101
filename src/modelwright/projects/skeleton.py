"""A project without a notebook: the shape that a conversion has, with a sample model for the user's own to replace."""

from collections.abc import Sequence
from pathlib import Path

from modelwright.notebooks import arranging, emitting, importing
from modelwright.notebooks.layouts import Layout
from modelwright.projects import folders, sample, scaffold
from modelwright.projects.manifest import MANIFEST_FILE, PARAMETERS_FILE, Manifest, manifest_text
from modelwright.records import Lock, Plan, Requirement
from modelwright.store.blobs import digest_of


def plan(name: str) -> Plan:
    """Return the plan of the sample model, as if a notebook called `name` had been planned."""
    return Plan(
        notebook=name,
        digest="",
        imports=sample.IMPORTS,
        definitions="",
        functions=sample.FUNCTIONS,
        parameters=sample.PARAMETERS,
        metrics=sample.MEASURES,
        model=sample.MODEL,
        model_file=sample.MODEL_FILE,
        loader=sample.LOADER,
        score=sample.SCORE,
        sample_request=sample.REQUEST,
        scoring_files=(),
        measured=sample.METRICS,
        modules=tuple(sorted(importing.modules([*sample.IMPORTS, sample.SCORE]))),
        data_files=(),
        estimator_keywords=(),
        removals=(),
        findings=(),
        training_probe=(),
        shown=(),
        written_files=(),
        scoring_probe=(),
    )


def lay_out(
    planned: Plan, *, name: str, layout: Layout, requirements: Sequence[Requirement], lock: Lock, into: Path
) -> Manifest:
    """Write the project folder `into`, which must be new or empty, and return its manifest.

    Raises FolderNotEmpty and FolderNotWritable, having changed nothing.
    """
    files = emitting.modules(planned, layout) | _tests(planned, layout)
    files |= scaffold.files(planned, layout, name=name, requirements=requirements, lock=lock)
    files["README.md"] = _read_me(planned, layout, name=name, lock=lock)
    files[PARAMETERS_FILE] = scaffold.parameters_text(planned)
    files[scaffold.SAMPLE_FILE] = f"{planned.sample_request}\n"
    folders.check_empty(into)
    with folders.unfinished(into) as unfinished:
        folders.write(unfinished, files)
        manifest = Manifest(
            folder=into,
            name=name,
            training=None,
            scoring=None,
            gate_metric=planned.metrics[0].name,
            gate_goal=planned.metrics[0].goal,
            python_version=lock.python_version,
            platform=lock.platform,
            lock_source=lock.source,
            generated={path: digest_of(unfinished / path) for path in files},
            layout=layout,
        )
        folders.write(unfinished, {MANIFEST_FILE: manifest_text(manifest)})
    return manifest


def _homes(planned: Plan, layout: Layout) -> dict[str, str]:
    """Return the module that each function of the project stands in."""
    homes = arranging.arrange(planned, layout).homes
    return {**homes, "main": layout.train, "pipeline": layout.pipeline}


def _tests(planned: Plan, layout: Layout) -> dict[str, str]:
    """Return the test files by path: one for each module, and what they are given."""
    homes = _homes(planned, layout)
    tested: dict[str, list[str]] = {}
    for function, text in sample.TESTS.items():
        module = homes.get(function, layout.score)
        tested.setdefault(module, []).append(text.replace("{module}", layout.score).strip("\n"))
    texts = {f"test_{module.rpartition('.')[2]}": "\n\n\n".join(found) for module, found in tested.items()}
    purposes = {each: f"Tests of {each.removeprefix('test_')}.py." for each in texts}
    purposes["conftest"] = "What the tests are given: the data, and the model that is trained on it."
    texts["conftest"] = sample.CONFTEST.strip("\n")
    files = {}
    for each, code in texts.items():
        imports = arranging.import_lines(code, given=sample.TEST_IMPORTS, homes=homes, module="")
        space = "\n\n" if code.startswith(("def ", "class ", "@")) else "\n"
        files[f"tests/{each}.py"] = "\n".join([f'"""{purposes[each]}"""', "", *imports, f"{space}{code}", ""])
    return files


def _read_me(planned: Plan, layout: Layout, *, name: str, lock: Lock) -> str:
    homes = _homes(planned, layout)
    rows = [(f"`{each}`", f"`{layout.file(homes[each])}`", told) for each, told in sample.YOURS.items()]
    answer = f"how rows are scored; `{scaffold.SAMPLE_FILE}` is the request that it is tried with"
    rows.append(("`init`, `run`", f"`{layout.file(layout.score)}`", answer))
    return scaffold.filled(
        sample.README + scaffold.REFERENCE,
        planned,
        layout,
        name=name,
        lock=lock,
        parts=scaffold.table(("replace", "in", "with"), rows),
        train_file=layout.file(layout.train),
        pipeline_file=layout.file(layout.pipeline),
    )
