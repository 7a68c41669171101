"""Scoring scripts made of scoring notebooks."""

import json

import pytest

from modelwright.notebooks import dataflow, scoring, statements

LOAD = "import json\nimport joblib\nimport numpy as np\nmodel = joblib.load('m.joblib')\n# ---\n"


def script(make, text: str):
    notebook = make(text)
    return scoring.from_notebook(notebook, dataflow.flow(statements.statements(notebook)), ["m.joblib"])


class Doubling:
    def predict(self, rows):
        import numpy as np

        return np.array(rows).sum(axis=1) * 2


REQUESTS = {
    "text": """raw_data = '{"data": [[1, 2], [3, 4]]}'
data = np.array(json.loads(raw_data)["data"])
result = model.predict(data)
print("Result:", {"result": result.tolist()})""",
    "text of another name": """request = '{"data": [[1, 2], [3, 4]]}'
data = np.array(json.loads(request)["data"])
answer = model.predict(data)
answer""",
    "dictionary": """raw_data = {"data": [[1, 2], [3, 4]]}
rows = np.array(raw_data["data"])
model.predict(rows).tolist()""",
    "dictionary made text": """payload = json.dumps({"data": [[1, 2], [3, 4]]})
rows = json.loads(payload)["data"]
result = model.predict(np.array(rows))
print(result)""",
    "rows in an array": """rows = np.array([[1, 2], [3, 4]])
print(rows.shape)
print(model.predict(rows))""",
    "answer as JSON text": """raw_data = '{"data": [[1, 2], [3, 4]]}'
result = model.predict(json.loads(raw_data)["data"])
print(json.dumps({"result": result.tolist()}))""",
    "answer as JSON text with a name": """raw_data = '{"data": [[1, 2], [3, 4]]}'
response = json.dumps({"result": model.predict(json.loads(raw_data)["data"]).tolist()})
response""",
    "answer as a list": """raw_data = '{"data": [[1, 2], [3, 4]]}'
answers = [int(each) for each in model.predict(json.loads(raw_data)["data"])]
answers""",
    "answer of the user's own function": """def answers(rows):
    return [int(each) for each in model.predict(rows)]
raw_data = '{"data": [[1, 2], [3, 4]]}'
answers(json.loads(raw_data)["data"])""",
    "array under result": """raw_data = '{"data": [[1, 2], [3, 4]]}'
answer = model.predict(json.loads(raw_data)["data"])
{"result": answer}""",
    "rows in a list": """rows = [[1, 2], [3, 4]]
result = model.predict(rows)
response = {"result": result.tolist()}
print(response)""",
}


@pytest.mark.parametrize("cells", REQUESTS.values(), ids=REQUESTS)
def test_every_way_to_write_a_request_gives_the_same_contract(make, tmp_path, monkeypatch, cells: str) -> None:
    import joblib

    made = script(make, LOAD + cells)
    joblib.dump(Doubling(), tmp_path / "m.joblib")
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    namespace = {"__name__": "score", "PROJECT": tmp_path}
    exec(compile(made.code, "score.py", "exec"), namespace)
    namespace["init"]()
    assert json.loads(made.sample_request) == {"data": [[1, 2], [3, 4]]}
    assert namespace["run"](made.sample_request, {}) == {"result": [6, 14]}
    assert namespace["run"]('{"data": [[0, 5]]}', {}) == {"result": [10]}
    assert made.loads == {"m.joblib": "m.joblib"}


def test_only_what_run_needs_is_global(make) -> None:
    text = (
        LOAD + "raw_data = '{\"data\": [[1]]}'\nresult = model.predict(np.array(json.loads(raw_data)['data']))\nresult"
    )
    assert "    global model\n" in script(make, text).code


def test_path_of_the_model_is_found_through_a_name(make) -> None:
    text = LOAD.replace("model = joblib.load('m.joblib')", "path = 'out/m.joblib'\nmodel = joblib.load(path)")
    text += "raw_data = '{\"data\": [[1]]}'\nresult = model.predict(np.array(json.loads(raw_data)['data']))\nresult"
    made = script(make, text)
    assert made.loads == {"out/m.joblib": "m.joblib"}
    assert "path = " not in made.code


def test_pickle_in_a_with_block_is_loaded_in_init(make) -> None:
    text = (
        "import json\nimport pickle\nwith open('m.pkl', 'rb') as file:\n    model = pickle.load(file)\n"
        "raw_data = '{\"data\": [[1]]}'\nrows = json.loads(raw_data)['data']\nresult = model.predict(rows)\nresult"
    )
    made = script(make, text)
    assert "    with open(os.path.join(model_folder(), \"m.joblib\"), 'rb') as file:\n" in made.code


@pytest.mark.parametrize(
    "text",
    [
        "raw_data = '{\"data\": [[1]]}'\nprint(raw_data)",
        LOAD + "print(model)",
        LOAD + "import pandas as pd\nrows = pd.read_csv('a.csv')\nmodel.predict(rows)",
    ],
)
def test_notebook_without_a_way_from_request_to_answer_gives_none(make, text: str) -> None:
    assert script(make, text) is None


@pytest.mark.parametrize("loader", ["joblib", "pickle"])
def test_default_script_is_python(loader: str) -> None:
    compile(scoring.default("m.bin", loader).code, "score.py", "exec")
