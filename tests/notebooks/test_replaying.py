"""Scoring derived from training notebooks: both sides run for real, from raw rows to predictions."""

import json
import sys
from pathlib import Path

import pytest

from modelwright.notebooks import (
    dataflow,
    deriving,
    execution,
    planning,
    replaying,
    results,
    splicing,
    statements,
)
from modelwright.notebooks.saving import saved_file
from modelwright.settings import child_environment

HEAD = """import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler
df = pd.read_csv('people.csv')
"""
SPLIT = "X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)\n"
FIT = """model = LogisticRegression()
model.fit(X_train, y_train)
print(accuracy_score(y_test, model.predict(X_test)))
"""
REGRESS = """model = LinearRegression()
model.fit(X_train, y_train)
print(mean_squared_error(y_test, model.predict(X_test)))
"""


def people() -> str:
    """Return a table with numbers, texts, missing values and a column to tell."""
    rows = ["height,weight,sex,town,age,rich"]
    for number in range(120):
        age = "" if number % 7 == 3 else str(20 + number * 11 % 50)
        sex, town = ("f", "m")[number * 5 % 3 % 2], ("Rome", "Oslo", "Bern")[number * 7 % 3]
        rich = ("no", "yes")[number * 13 % 10 > 4]
        rows.append(f"{150 + number * 17 % 41}.5,{50 + number * 29 % 37},{sex},{town},{age},{rich}")
    return "\n".join(rows) + "\n"


PROVEN = {
    "scaler after the split": """df['ratio'] = df['height'] / df['weight']
X = df[['height', 'weight', 'ratio']]
y = df['rich']
"""
    + SPLIT
    + "scaler = StandardScaler()\nX_train = scaler.fit_transform(X_train)\nX_test = scaler.transform(X_test)\n"
    + FIT,
    "pipeline": "X = df[['height', 'weight']]\ny = df['rich']\n"
    + SPLIT
    + FIT.replace("LogisticRegression()", "make_pipeline(StandardScaler(), LogisticRegression())"),
    "column transformer": """X = df[['height', 'town']]
y = df['rich']
"""
    + SPLIT
    + """prepare = ColumnTransformer([('town', OneHotEncoder(), ['town'])], remainder='passthrough')
X_train = prepare.fit_transform(X_train)
X_test = prepare.transform(X_test)
"""
    + FIT,
    "dummies before the split": """df = df.drop('age', axis=1)
X = pd.get_dummies(df.drop('rich', axis=1), drop_first=True)
y = df['rich']
"""
    + SPLIT
    + FIT,
    "one encoder for several columns": """encoder = LabelEncoder()
df['sex'] = encoder.fit_transform(df['sex'])
df['town'] = encoder.fit_transform(df['town'])
df['rich'] = encoder.fit_transform(df['rich'])
X = df.drop(['rich', 'age'], axis=1)
y = df['rich']
"""
    + SPLIT
    + FIT,
    "own function": """def features(people):
    people = people.copy()
    people['ratio'] = people['height'] / people['weight']
    return people[['ratio', 'weight']]
X = features(df)
y = df['rich']
"""
    + SPLIT
    + FIT,
    "mean of a column": """df['age'] = df['age'].fillna(df['age'].mean())
X = df[['height', 'age']].values
y = df['rich'].to_numpy()
"""
    + SPLIT
    + FIT,
    "logarithm of the target": "X = df[['height']]\ny = np.log(df['weight'])\n" + SPLIT + REGRESS,
    "columns by number": "X = df.iloc[:, :2].values\ny = df.iloc[:, -1].to_numpy()\n" + SPLIT + FIT,
    "texts": """X_train, X_test, y_train, y_test = train_test_split(df['town'], df['rich'], random_state=0)
vectorizer = CountVectorizer()
X_train = vectorizer.fit_transform(X_train)
X_test = vectorizer.transform(X_test)
"""
    + FIT,
}


def tried(make, text: str, tmp_path: Path):
    """Return the rehearsal of a notebook's text, with its plan and run."""
    (tmp_path / "people.csv").write_text(people(), encoding="utf-8")
    notebook = make(HEAD + text)
    options = {"python": Path(sys.executable), "environment": child_environment()}
    watch = planning.watched(notebook)
    traced = execution.execute(notebook, folder=tmp_path / ".traced", watch=watch, **options)
    plan = planning.plan(notebook, trace=traced.trace)
    rehearsed = deriving.rehearsal(notebook, plan, traced.trace)
    run = execution.execute(rehearsed.notebook, folder=tmp_path / ".tried", probe=rehearsed.probe, **options)
    return rehearsed, plan, run


@pytest.mark.slow
@pytest.mark.parametrize("text", PROVEN.values(), ids=PROVEN)
def test_raw_rows_give_the_predictions_of_the_notebook(make, tmp_path: Path, text: str) -> None:
    rehearsed, plan, run = tried(make, text, tmp_path)
    rawest = deriving.candidates(rehearsed, plan, run)[0]
    assert rehearsed.replays[0].entry == "df"
    assert run.replays["replay.0"]["is_equal"], run.replays["replay.0"]
    assert ("weight" if "np.log" in text else "rich") not in run.replays["replay.0"]["columns"]
    assert rawest.findings == ()
    final = planning.plan(rawest.notebook, trace=rawest.trace, derived=rawest.script)
    compile(final.score, "score.py", "exec")
    saving = "".join(each.code for each in final.functions)
    assert all(f'"{saved_file(name, model="model")}"' in saving for name in rehearsed.replays[0].saved)


@pytest.mark.slow
def test_encoders_that_are_named_for_scoring_only_prepare_rows(make, tmp_path: Path) -> None:
    text = PROVEN["one encoder for several columns"].replace("X = df", "print(df.head())\nX = df")
    rehearsed, first, run = tried(make, text, tmp_path)
    each = deriving.candidates(rehearsed, first, run)[0]
    plan = planning.plan(each.notebook, trace=each.trace, derived=each.script)
    code = "\n".join(one.code for one in plan.functions)
    assert "sex_encoder = LabelEncoder()\n    df['sex'] = sex_encoder.fit_transform(df['sex'])\n" in code
    assert "print(df.head())" not in code


@pytest.mark.slow
def test_rows_may_be_dictionaries(make, tmp_path: Path) -> None:
    text = """df['place'] = df['height'].rank()
rows = df[['place', 'town']].to_dict(orient='records')
y = df['rich']
vectorizer = DictVectorizer()
vectorizer.fit(rows)
model = LogisticRegression().fit(vectorizer.transform(rows), y)
X = vectorizer.transform(rows)
model.score(X, y)
"""
    rehearsed, plan, run = tried(make, text, tmp_path)
    script = deriving.candidates(rehearsed, plan, run)[0].script
    assert json.loads(script.sample_request)["data"][0].keys() == {"place", "town"}
    assert "X = vectorizer.transform(rows)" in script.code


@pytest.mark.slow
def test_what_mixes_rows_is_not_repeated_and_says_so(make, tmp_path: Path) -> None:
    text = "df['place'] = df['height'].rank()\nX = df[['height', 'place']]\ny = df['rich']\n" + SPLIT + FIT
    rehearsed, plan, run = tried(make, text, tmp_path)
    candidate = deriving.candidates(rehearsed, plan, run)[0]
    assert [(each.code, each.line) for each in candidate.findings] == [("scoring-step-not-replayed", 12)]
    assert "prepare_rows" not in candidate.script.code
    assert "model.predict(X)" in candidate.script.code


@pytest.mark.slow
def test_train_and_test_rows_in_one_table_have_no_honest_way(make, tmp_path: Path) -> None:
    text = """train, test = df[:90], df[90:]
both = pd.concat([train, test])
both['age'] = both['age'].fillna(0)
X_train, X_test = both[['height', 'age']][:90], both[['height', 'age']][90:]
y_train, y_test = both['rich'][:90], both['rich'][90:]
"""
    rehearsed, plan, run = tried(make, text + FIT, tmp_path)
    assert deriving.candidates(rehearsed, plan, run) == []
    assert "one below the other" in deriving.findings(rehearsed, run)[0].message


def test_without_a_trace_nothing_is_derived(make) -> None:
    notebook = make(HEAD + PROVEN["pipeline"])
    assert deriving.rehearsal(notebook, planning.plan(notebook), None) is None


def test_other_code_takes_the_place_of_the_outer_expression(make) -> None:
    one = statements.statements(make("x = f(g(1), 'ä', h(2))"))[0]
    call = one.tree.value
    edits = [(call.args[0], "a"), (call.args[0].args[0], "b"), (call.args[2], "c")]
    assert splicing.spliced(one.lines, one.tree, edits) == "x = f(a, 'ä', c)"


def test_flow_without_seen_tables_has_no_entries(make) -> None:
    flow = dataflow.flow(statements.statements(make("a = 1\nb = a\nb")))
    learnt = results.results(flow).learning
    assert replaying.replays(flow, learnt, at=2, rows=flow.statements[2].tree.value, model="m") == ([], [])
