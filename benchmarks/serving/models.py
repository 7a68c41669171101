"""Trains the models, each written with its requests and right answers: `python models.py FOLDER`.

Runs in an environment of scikit-learn. `FOLDER/NAME/model.pkl` is what everybody serves; `rows-1.json` and so on
are what is asked, `answers-1.json` and so on what `predict` itself says to it. `m1` to `m3` are those that servers are
compared with; `r1` to `r3` are versions of one model, each of which answers differently.
"""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

ROWS = (1, 100, 400)
_SEED = 7


def train(folder: Path) -> None:
    """Write the models below `folder`."""
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
    from sklearn.linear_model import Ridge

    columns, target = load_diabetes(return_X_y=True)
    models: dict[str, Any] = {
        "m1": Ridge(alpha=0.5),
        "m2": HistGradientBoostingRegressor(max_iter=100, random_state=_SEED),
        "m3": RandomForestRegressor(n_estimators=100, n_jobs=1, random_state=_SEED),
        **{f"r{number}": Ridge(alpha=number / 10) for number in (1, 2, 3)},
    }
    for name, model in models.items():
        model.fit(columns, target)
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "model.pkl").write_bytes(pickle.dumps(model))
        for count in ROWS:
            (place / f"rows-{count}.json").write_text(json.dumps(columns[:count].tolist()))
            (place / f"answers-{count}.json").write_text(json.dumps(model.predict(columns[:count]).tolist()))


if __name__ == "__main__":
    train(Path(sys.argv[1]))
