"""What small notebooks become: kept, removed, shaped, parametrised."""

from pathlib import Path

import pytest

from modelwright.errors import NotebookNotConvertible
from modelwright.notebooks import emitting, layouts, planning, reading
from modelwright.records import Goal

GOLDEN = Path(__file__).with_name("golden")
EXAMPLE = Path(__file__).parents[2] / "examples" / "diabetes"

HEAD = """
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import train_test_split
import joblib
# ---
X, y = load_diabetes(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
# ---
"""
SMALL = layouts.layout("small")
TAIL = "\n# ---\njoblib.dump(model, 'model.joblib')\n"


def train_module(plan) -> str:
    return emitting.modules(plan, SMALL)["src/small/train.py"]


def pipeline_module(plan) -> str:
    return emitting.modules(plan, SMALL)["src/small/pipeline.py"]


def signatures(plan):
    return [code.code.splitlines()[0] for code in plan.functions]


@pytest.mark.parametrize("name", ["wine", "no_split", "seeded", "breast", "frames", "columns"])
def test_project_is_the_golden_one(make, corpus, name: str) -> None:
    plan = planning.plan(make(corpus(name)))
    for file, text in emitting.modules(plan, SMALL).items():
        assert text == (GOLDEN / f"{name}.{Path(file).name}.txt").read_text(encoding="utf-8")


def test_example_is_the_golden_one() -> None:
    plan = planning.plan(reading.read(EXAMPLE / "training.ipynb"), reading.read(EXAMPLE / "scoring.ipynb"))
    for file, text in emitting.modules(plan, SMALL).items():
        assert text == (GOLDEN / f"diabetes.{Path(file).name}.txt").read_text(encoding="utf-8")


def test_example_loses_its_exploration_and_nothing_else() -> None:
    plan = planning.plan(reading.read(EXAMPLE / "training.ipynb"), reading.read(EXAMPLE / "scoring.ipynb"))
    assert [(each.cell, each.source, each.reason) for each in plan.removals] == [
        (1, "%matplotlib inline", "steers the notebook's display only"),
        (1, "import matplotlib.pyplot as plt", "unused import"),
        (1, "import numpy as np", "unused import"),
        (2, "print(df.shape)", "prints the shape"),
        (3, "df.describe()", "shows the data"),
        (4, 'plt.hist(df["Y"], bins=30)', "a plot"),
        (4, 'plt.xlabel("progression")', "a plot"),
        (4, 'plt.ylabel("patients")', "a plot"),
        (4, "plt.show()", "a plot"),
        (5, 'print(data["train"]["X"].shape, data["test"]["X"].shape)', "prints the shape"),
        (7, 'print("mse", mse)', "prints a metric; main() prints it instead"),
    ]


def test_pipeline_is_assignments_then_the_save_then_the_results(make, corpus) -> None:
    import ast

    for name in ("wine", "no_split", "seeded", "breast", "frames", "columns"):
        tree = ast.parse(pipeline_module(planning.plan(make(corpus(name)))))
        (function,) = [each for each in tree.body if isinstance(each, ast.FunctionDef)]
        docstring, *calls, save, last = function.body
        assert isinstance(docstring, ast.Expr)
        assert all(isinstance(each, ast.Assign | ast.Expr) and isinstance(each.value, ast.Call) for each in calls)
        assert ast.unparse(save).startswith("save_model(")
        assert ast.unparse(last).startswith("return {'model': ")


@pytest.mark.parametrize(
    ("cells", "signature"),
    [
        (
            "model = Ridge(alpha=0.5)\nmodel.fit(X_train, y_train)",
            "def train_model(X_train, y_train, alpha: float = 0.5):",
        ),
        ("model = Ridge(alpha=0.5).fit(X_train, y_train)", "def train_model(X_train, y_train, alpha: float = 0.5):"),
        (
            "alpha = 2\nmodel = Ridge(alpha)\nmodel.fit(X_train, y_train)",
            "def train_model(X_train, y_train, alpha: int = 2):",
        ),
        (
            "args = dict(alpha=0.5, fit_intercept=True)\nmodel = Ridge(**args)\nmodel.fit(X_train, y_train)",
            "def train_model(X_train, y_train, alpha: float = 0.5, fit_intercept: bool = True):",
        ),
        (
            "model = Ridge(**{'alpha': 3.0})\nmodel.fit(X_train, y_train)",
            "def train_model(X_train, y_train, alpha: float = 3.0):",
        ),
        (
            "alpha = 1\nalpha = 2\nmodel = Ridge(alpha=alpha)\nmodel.fit(X_train, y_train)",
            "def train_model(X_train, y_train):",
        ),
        (
            "model = Ridge(random_state=3, solver='lsqr')\nmodel.fit(X_train, y_train)",
            'def train_model(X_train, y_train, ridge_random_state: int = 3, solver: str = "lsqr"):',
        ),
        (
            "model = Ridge(random_state=0)\nmodel.fit(X_train, y_train)",
            "def train_model(X_train, y_train, random_state: int = 0):",
        ),
        ("model = Ridge()\nmodel.fit(X=X_train, y=y_train)", "def train_model(X_train, y_train):"),
    ],
)
def test_literals_that_steer_become_parameters(make, cells: str, signature: str) -> None:
    plan = planning.plan(make(HEAD + cells + TAIL))
    assert signature in signatures(plan)


@pytest.mark.parametrize(
    "cells",
    [
        "print(f'{mean_squared_error(y_test, model.predict(X_test)):.1%}')",
        "print('{:.1%}'.format(mean_squared_error(y_test, model.predict(X_test))))",
    ],
)
def test_a_percentage_is_printed_as_it_is(make, cells: str) -> None:
    plan = planning.plan(make(HEAD + "model = Ridge().fit(X_train, y_train)\n" + cells + TAIL))
    assert cells.replace("mean_squared_error(y_test, model.predict(X_test))", "mse") in train_module(plan)


def test_a_loss_that_gradients_are_asked_of_is_shown(make) -> None:
    text = "import torch\n# ---\nw = torch.ones(3, requires_grad=True)\nloss = (w * 2).sum()\n"
    text += "loss.backward()\nprint(loss)\n"
    assert "    print(loss)\n" in train_module(planning.plan(make(text)))


def test_what_a_search_of_a_function_that_trains_finds_is_kept(make) -> None:
    plan = planning.plan(
        make(
            "from scipy.optimize import minimize_scalar\n"
            "from sklearn.datasets import load_iris\n"
            "from sklearn.tree import DecisionTreeClassifier\n"
            "# ---\n"
            "X, y = load_iris(return_X_y=True)\n"
            "tree = DecisionTreeClassifier(random_state=0).fit(X, y)\n"
            "# ---\n"
            "def objective(depth):\n"
            "    return -DecisionTreeClassifier(max_depth=int(depth), random_state=0).fit(X, y).score(X, y)\n"
            "# ---\n"
            "found = minimize_scalar(objective, bounds=(1, 5), method='bounded')\n"
            "# ---\n"
            "found.items()\n"
        )
    )
    code = "\n".join(each.code for each in plan.functions)
    assert "minimize_scalar" in code
    assert "found.items()" in code
    assert [each.source for each in plan.removals if "found" in each.source] == []


def test_that_an_assigned_value_is_shown_is_told_of_as_removed(make) -> None:
    config = "%config InteractiveShell.ast_node_interactivity = 'last_expr_or_assign'\n# ---\n"
    plan = planning.plan(make(config + HEAD + "sizes = X.shape\nmodel = Ridge(alpha=sizes[1])" + TAIL))
    assert ("model", "shows the data") in [(each.source, each.reason) for each in plan.removals]


def test_that_drawn_rows_are_shown_is_told_of_as_removed_though_the_draw_stays(make) -> None:
    cells = "import pandas as pd\npd.DataFrame(X).sample(5)\n# ---\nmodel = SGDRegressor().fit(X, y)"
    plan = planning.plan(make(HEAD.replace("Ridge", "SGDRegressor") + cells + TAIL))
    assert ("display(pd.DataFrame(X).sample(5))", "shows the data") in [
        (one.source, one.reason) for one in plan.removals
    ]
    assert "    pd.DataFrame(X).sample(5)\n" in train_module(plan)


def test_what_a_later_model_is_given_is_prepared_before_the_next_one(make) -> None:
    cells = (
        "first = Ridge(alpha=1.0)\nfirst.fit(X_train, y_train)\nprint(first.score(X_test, y_test))\n# ---\n"
        "X_late = [row[:3] for row in X_train]\n# ---\nmiddle = Ridge(alpha=2.0)\nmiddle.fit(X_train, y_train)\n"
        "model = Ridge(alpha=3.0)\nmodel.fit(X_late, y_train)\nprint(middle.coef_)"
    )
    plan = planning.plan(make(HEAD + cells + TAIL))
    assert {each.role for each in plan.functions if "X_late" in each.outputs} == {"prepare"}


def test_a_call_whose_result_nothing_uses_is_only_called(make) -> None:
    cells = "model = Ridge(alpha=2.0)\nagain = model.fit(X_train, y_train)\nfound = sum([1])\nprint(model.coef_)"
    plan = planning.plan(make(HEAD + cells + TAIL))
    code = "\n".join(each.code for each in plan.functions)
    assert "\n    model.fit(X_train, y_train)\n" in code
    assert "found" not in code


def test_what_is_named_inside_an_assignment_is_assigned_before_it(make) -> None:
    cells = "used = [n for each in names if (n := each)]\nmodel = (built := Ridge(alpha=2.0)).fit(X_train, y_train)"
    plan = planning.plan(make(HEAD + "names = ['a']\n" + cells + TAIL + "\nprint(built.coef_, used)"))
    code = "\n".join(each.code for each in plan.functions)
    assert "    built = Ridge(alpha=alpha)\n    model = built.fit(X_train, y_train)\n" in code
    assert "if (n := each)]" in code


@pytest.mark.parametrize(
    ("cells", "metrics"),
    [
        ("mse = mean_squared_error(y_test, model.predict(X_test))", [("mse", Goal.MINIMIZE)]),
        ("print(mean_squared_error(y_test, model.predict(X_test)))", [("mse", Goal.MINIMIZE)]),
        ("print(f'{mean_squared_error(y_test, model.predict(X_test)):.2f}')", [("mse", Goal.MINIMIZE)]),
        ("print('m: %.2f' % mean_squared_error(y_test, model.predict(X_test)))", [("mse", Goal.MINIMIZE)]),
        ("print('m: {}'.format(mean_squared_error(y_test, model.predict(X_test))))", [("mse", Goal.MINIMIZE)]),
        ("print('m: ' + str(mean_squared_error(y_test, model.predict(X_test))))", [("mse", Goal.MINIMIZE)]),
        ("print(f'{mean_squared_error(y_test, model.predict(X_test)):.1%}')", [("mse", Goal.MINIMIZE)]),
        ("mean_squared_error(y_test, model.predict(X_test))", [("mse", Goal.MINIMIZE)]),
        ("mean_squared_error(y_test, model.predict(X_test)) ** 0.5", [("rmse", Goal.MINIMIZE)]),
        ("model.score(X_test, y_test)", [("score", Goal.MAXIMIZE)]),
        (
            "print(model.score(X_train, y_train), model.score(X_test, y_test))",
            [("score", Goal.MAXIMIZE), ("train_score", Goal.MAXIMIZE)],
        ),
        ("first = model.score(X_test, y_test)\nfirst", [("first", Goal.MAXIMIZE)]),
        ("loss = mean_squared_error(y_test, model.predict(X_test))\nprint(loss)", [("loss", Goal.MINIMIZE)]),
        (
            "loss, fit = mean_squared_error(y_test, model.predict(X_test)), model.score(X_test, y_test)\nloss, fit",
            [("loss", Goal.MINIMIZE), ("fit", Goal.MAXIMIZE)],
        ),
        (
            "mean_squared_error(y_test, model.predict(X_test)), model.score(X_test, y_test)",
            [("mse", Goal.MINIMIZE), ("score", Goal.MAXIMIZE)],
        ),
        (
            "found = {'mse': mean_squared_error(y_test, model.predict(X_test)), 'rows': len(X_test)}\nprint(found)",
            [("mse", Goal.MINIMIZE)],
        ),
        ("found = {}\nfound['r2'] = model.score(X_test, y_test)\nfound", [("r2", Goal.MAXIMIZE)]),
        ("if (fit := model.score(X_test, y_test)) > 0:\n    print(fit)", [("fit", Goal.MAXIMIZE)]),
    ],
)
def test_metrics_are_found_however_they_are_shown(make, cells: str, metrics: list[tuple[str, Goal]]) -> None:
    text = HEAD + "model = Ridge()\nmodel.fit(X_train, y_train)\n# ---\n" + cells + TAIL
    plan = planning.plan(make(text))
    assert [(each.name, each.goal) for each in plan.metrics] == metrics


def test_refit_on_all_rows_comes_after_the_evaluation(make) -> None:
    text = HEAD + (
        "model = Ridge()\nmodel.fit(X_train, y_train)\n# ---\nscore = model.score(X_test, y_test)\n"
        "# ---\nmodel.fit(X, y)"
    )
    plan = planning.plan(make(text + TAIL))
    assert [each.name for each in plan.functions] == [
        "load_data",
        "split_data",
        "train_model",
        "evaluate_model",
        "refit_model",
        "save_model",
    ]


def test_unused_model_goes(make) -> None:
    text = HEAD + "other = Ridge(alpha=9)\nother.fit(X, y)\nmodel = Ridge()\nmodel.fit(X_train, y_train)" + TAIL
    plan = planning.plan(make(text))
    assert {each.source for each in plan.removals} >= {"other = Ridge(alpha=9)", "other.fit(X, y)"}
    assert "other" not in train_module(plan)


def test_pipeline_of_a_notebook_without_a_metric_gives_the_model_alone(make) -> None:
    plan = planning.plan(make(HEAD + "model = Ridge()\nmodel.fit(X_train, y_train)" + TAIL))
    assert pipeline_module(plan).endswith('    return {"model": model}\n')
    assert [each.code for each in plan.findings] == ["no-metric"]


def test_variable_of_the_users_own_called_metrics_is_not_mixed_up_with_ours(make) -> None:
    text = HEAD + (
        "import json\nmodel = Ridge()\nmodel.fit(X_train, y_train)\nmetrics = {'r2': model.score(X_test, y_test)}\n"
        "with open('metrics.json', 'w') as file:\n    json.dump(metrics, file)"
    )
    pipeline = pipeline_module(planning.plan(make(text + TAIL)))
    assert "    measured_metrics, metrics = evaluate_model(model, X_test, y_test)\n" in pipeline
    assert '    return {"model": model, "metrics": measured_metrics}\n' in pipeline


def test_name_that_is_only_the_path_of_a_result_goes(make) -> None:
    tail = "\n# ---\nname = 'model'\npath = name + '.joblib'\njoblib.dump(model, path)\n"
    plan = planning.plan(make(HEAD + "model = Ridge()\nmodel.fit(X_train, y_train)" + tail))
    train = train_module(plan)
    assert 'joblib.dump(model, os.path.join(output_folder, "model.joblib"))' in train
    assert "name =" not in train
    assert "path =" not in train


def test_import_that_only_a_replaced_path_needed_goes(make, corpus) -> None:
    assert "from pathlib import Path" not in planning.plan(make(corpus("columns"))).imports


@pytest.mark.parametrize(
    "save",
    [
        "Path('model.pkl').write_bytes(pickle.dumps(model))",
        "with open('model.pkl', 'wb') as file:\n    file.write(pickle.dumps(model))",
    ],
)
def test_model_written_as_bytes_is_a_saved_model(make, save: str) -> None:
    text = "import pickle\nfrom pathlib import Path\n" + HEAD + "model = Ridge()\nmodel.fit(X_train, y_train)\n" + save
    plan = planning.plan(make(text))
    assert (plan.model, plan.model_file, plan.loader) == ("model", "model.pkl", "pickle")
    assert 'output_folder, "model.pkl"' in train_module(plan)


@pytest.mark.parametrize(("keywords", "codes"), [("n_splits=3", []), ("shuffle=True", ["unseeded-randomness"])])
def test_folds_draw_only_when_they_shuffle(make, keywords: str, codes: list[str]) -> None:
    text = HEAD + (
        "from sklearn.model_selection import GridSearchCV, KFold\n"
        f"model = GridSearchCV(Ridge(), {{'alpha': [1, 2]}}, cv=KFold({keywords}))\nmodel.fit(X_train, y_train)\n"
        "model.score(X_test, y_test)"
    )
    assert [each.code for each in planning.plan(make(text + TAIL)).findings] == codes


SCORING = """
import json
import joblib
raw_data = '{"data": [[1, 2]]}'
# ---
"""


def test_scoring_finds_every_file_that_training_saves(make) -> None:
    text = HEAD + (
        "from sklearn.preprocessing import StandardScaler\nscaler = StandardScaler().fit(X_train)\nmodel = Ridge()\n"
        "model.fit(scaler.transform(X_train), y_train)\njoblib.dump(scaler, 'out/scaler.joblib')"
    )
    scoring = SCORING + (
        "scaler = joblib.load('out/scaler.joblib')\nmodel = joblib.load('model.joblib')\n"
        "model.predict(scaler.transform(json.loads(raw_data)['data']))"
    )
    plan = planning.plan(make(text + TAIL), make(scoring, "scoring.ipynb"))
    assert "    global model, scaler\n" in plan.score
    assert 'scaler = joblib.load(os.path.join(model_folder(), "scaler.joblib"))' in plan.score
    assert plan.scoring_files == (("out/scaler.joblib", "out/scaler.joblib"), ("model.joblib", "model.joblib"))


def test_file_that_training_does_not_save_can_only_be_the_model(make) -> None:
    training = make(HEAD + "model = Ridge()\nmodel.fit(X_train, y_train)\nmodel.score(X_test, y_test)" + TAIL)
    load = "model = joblib.load('other.joblib')\n"
    plan = planning.plan(training, make(SCORING + load + "model.predict(json.loads(raw_data)['data'])", "a.ipynb"))
    assert [each.code for each in plan.findings] == ["scoring-loads-other-file"]
    assert plan.scoring_files == (("other.joblib", "model.joblib"),)
    load += "scaler = joblib.load('scaler.joblib')\n"
    rows = "model.predict(scaler.transform(json.loads(raw_data)['data']))"
    with pytest.raises(NotebookNotConvertible, match="is loaded, and training saves"):
        planning.plan(training, make(SCORING + load + rows, "b.ipynb"))


def test_seed_is_never_dropped(make, corpus) -> None:
    plan = planning.plan(make(corpus("seeded")))
    assert "np.random.seed(seed)" in train_module(plan)
    assert not any("seed" in each.source for each in plan.removals)


def test_exploration_that_draws_before_a_fit_that_draws_is_kept(make) -> None:
    text = """
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
np.random.seed(3)
X, y = load_diabetes(return_X_y=True)
# ---
sample = np.random.choice(len(X), 5)
print(sample)
# ---
model = RandomForestRegressor(n_estimators=3)
model.fit(X, y)
"""
    assert "\n    np.random.choice(len(X), 5)\n" in train_module(planning.plan(make(text)))


def test_users_function_that_only_plots_goes_with_its_calls(make) -> None:
    text = HEAD + (
        "import matplotlib.pyplot as plt\ndef show(model, rows):\n    plt.plot(model.predict(rows))\n"
        "model = Ridge()\nmodel.fit(X_train, y_train)\nshow(model, X_test)"
    )
    train = train_module(planning.plan(make(text + TAIL)))
    assert "show" not in train
    assert "plt" not in train


def test_data_files_are_found_through_names(make) -> None:
    text = """
import os
import pandas as pd
from sklearn.linear_model import Ridge
FOLDER = "data"
path = os.path.join(FOLDER, "rows.csv")
rows = pd.read_csv(path)
model = Ridge().fit(rows[["a"]], rows["b"])
"""
    plan = planning.plan(make(text))
    assert plan.data_files == ("data/rows.csv",)
    assert "pd.read_csv(os.path.join(PROJECT, path))" in train_module(plan)


def test_comments_stay_with_their_statements(make) -> None:
    text = (
        HEAD
        + "# hold it small\nmodel = Ridge()  # the field's own\nmodel.fit(X_train, y_train)\n# looks\nprint(X.shape)"
    )
    train = train_module(planning.plan(make(text + TAIL)))
    assert "    # hold it small\n    model = Ridge()  # the field's own\n" in train
    assert "# looks" not in train


def test_texts_over_several_lines_are_not_indented(make) -> None:
    text = (
        HEAD
        + 'notes = {"text": """one\ntwo"""}\nmodel = Ridge()\nmodel.fit(X_train, y_train)\nmodel.notes = notes'
        + TAIL
    )
    assert '"""one\ntwo"""' in train_module(planning.plan(make(text)))


def test_names_of_the_users_own_are_not_taken(make) -> None:
    text = "def load_data():\n    return load_diabetes(return_X_y=True)\n" + HEAD.replace(
        "load_diabetes(return_X_y=True)", "load_data()"
    )
    plan = planning.plan(make(text + "model = Ridge()\nmodel.fit(X_train, y_train)" + TAIL))
    assert plan.functions[0].name == "load_data_stage"


def test_modules_are_those_that_the_project_imports(make, corpus) -> None:
    assert planning.plan(make(corpus("wine"))).modules == ("pandas", "sklearn")
    assert planning.plan(make(corpus("no_split"))).modules == ("joblib", "pandas", "sklearn")
