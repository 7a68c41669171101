"""Names that stand for two things are told apart, lines staying where they are."""

import pytest

from modelwright.notebooks import renaming


@pytest.mark.parametrize(
    ("codes", "renamed"),
    [
        (["import math as m", "m.pi", "m = 3", "m"], ["import math", "math.pi", "m = 3", "m"]),
        (["import numpy as np", "np.sum(1)"], ["import numpy as np", "np.sum(1)"]),
        (
            ["from sklearn import metrics", "metrics = metrics.f(a.metrics, metrics=1)", "metrics"],
            [
                "from sklearn import metrics as sklearn_metrics",
                "metrics = sklearn_metrics.f(a.metrics, metrics=1)",
                "metrics",
            ],
        ),
        (
            ["import datetime", "datetime.date", "from datetime import datetime", "datetime.now"],
            [
                "import datetime as datetime_module",
                "datetime_module.date",
                "from datetime import datetime",
                "datetime.now",
            ],
        ),
        (
            ["from a import b, c", "def f(b):\n    return b + c", "def g():\n    return b", "b = 1"],
            ["from a import b as a_b, c", "def f(b):\n    return b + c", "def g():\n    return a_b", "b = 1"],
        ),
        (
            ["import fast\nimport x as m\nü = f'ü {m.one} {m}'", "m = [m for m in y]"],
            ["import fast\nimport x\nü = f'ü {x.one} {x}'", "m = [m for m in y]"],
        ),
        (
            ["try:\n    import x\nexcept ImportError:\n    x = None\nx"],
            ["try:\n    import x\nexcept ImportError:\n    x = None\nx"],
        ),
        (["output_folder = 'a'\nf(output_folder)"], ["output_folder_ = 'a'\nf(output_folder_)"]),
        (["def main(os):\n    return os", "main(os=1)"], ["def main_(os):\n    return os", "main_(os=1)"]),
    ],
)
def test_codes(codes: list[str], renamed: list[str]) -> None:
    assert list(renaming.renamed(codes).codes) == renamed
