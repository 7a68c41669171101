"""Reading a pipeline into a graph."""

from pathlib import Path

import pytest

from modelwright.errors import ParameterUnknown, ProjectInvalid
from modelwright.runs.pipelines import Argument, read_pipeline

GOOD = '''
"""The pipeline."""
from train import evaluate, fit, load, split as cut


def pipeline(alpha=0.5, *, seed=0, output_folder="outputs"):
    """Steps."""
    frame = load()
    train, test = cut(frame, 0.2, seed=seed)
    model = fit(train, alpha=alpha)
    metrics = evaluate(model, test)
    cut(frame, 0.3, seed=1)
    return {"model": model, "metrics": metrics}
'''


def _project(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pipeline.py"
    path.write_text(text)
    return path


def test_a_pipeline_is_read_without_running_it(tmp_path: Path) -> None:
    pipeline = read_pipeline(_project(tmp_path, GOOD))

    assert pipeline.parameters == {"alpha": 0.5, "seed": 0, "output_folder": "outputs"}
    assert [step.name for step in pipeline.steps] == ["load", "split", "fit", "evaluate", "split-2"]
    cut = pipeline.steps[1]
    assert (cut.module, cut.function, cut.outputs, cut.is_unpacked) == ("train", "split", ("train", "test"), True)
    assert cut.arguments == (Argument(None, "frame"), Argument(None, None, 0.2), Argument("seed", "seed"))
    assert pipeline.results == {"model": "model", "metrics": "metrics"}
    assert pipeline.sources() == {"frame"}


def test_overrides_take_the_place_of_defaults(tmp_path: Path) -> None:
    pipeline = read_pipeline(_project(tmp_path, GOOD))
    assert pipeline.bind({"alpha": 0.4}, folder=tmp_path)["alpha"] == 0.4
    with pytest.raises(ParameterUnknown, match=r'"alhpa" is no parameter.*alpha, seed'):
        pipeline.bind({"alhpa": 0.4}, folder=tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("frame = load()", "frame = loda()", "a step is a function imported by name"),
        ("frame = load()", "frame = train.load()", "a step is a function imported by name"),
        ("frame = load()", "frame = 1", "each line of the pipeline is a call"),
        ("frame = load()", "for i in range(3): load()", "each line of the pipeline is a call"),
        ("fit(train, alpha=alpha)", "fit(trian, alpha=alpha)", '"trian" is neither a parameter nor the output'),
        ("fit(train, alpha=alpha)", "fit(train, alpha=alpha + 1)", "only literals, parameters and values"),
        ("alpha=0.5", "alpha", "needs a name and a default"),
        ("alpha=0.5", "alpha=f()", "only literals"),
        ('return {"model": model, "metrics": metrics}', "return model", "the pipeline ends with"),
        ('"metrics": metrics}', '"metrics": scores}', '"scores" is not the output of a step'),
        ("def pipeline", "def pipelines", 'one function called "pipeline"'),
        ("def pipeline", "def def", "invalid syntax"),
    ],
)
def test_what_is_no_pipeline_is_refused_with_its_rule(tmp_path: Path, old: str, new: str, rule: str) -> None:
    assert old in GOOD
    with pytest.raises(ProjectInvalid, match=rule):
        read_pipeline(_project(tmp_path, GOOD.replace(old, new)))
