"""A version that came without an environment is given the one that its own files ask for, once."""

from pathlib import Path

from modelwright.lifecycle import equipping, registering
from modelwright.lifecycle.registering import Order
from modelwright.lifecycle.sessions import Session
from modelwright.store import environments
from modelwright.store.database import Store


def folder(place: Path, wanted: str) -> Path:
    made = place / "made"
    made.mkdir()
    (made / "MLmodel").write_text("flavors: {sklearn: {sklearn_version: 1.7.2}}")
    (made / "model.pkl").write_bytes(b"never opened")
    (made / "requirements.txt").write_text(wanted)
    return made


def test_an_environment_is_locked_once_and_without_mlflow(store: Store, tmp_path: Path) -> None:
    session = Session(store, "grace")
    made = folder(tmp_path, "mlflow==3.17.2\nclick\n")
    version = registering.register(session, Order([str(made)], tmp_path, model="churn")).version
    assert version.environment_digest is None
    equipped = equipping.equipped(session, version)
    lock = environments.get_environment(store, equipped.environment_digest or "")
    assert "click==" in lock.text
    assert "mlflow" not in lock.text
    assert equipping.equipped(session, equipped) == equipped


def test_a_model_that_needs_a_script_stays_as_it_is(store: Store, tmp_path: Path) -> None:
    session = Session(store, "grace")
    made = folder(tmp_path, "click\n")
    (made / "MLmodel").write_text("flavors: {python_function: {loader_module: own}}")
    version = registering.register(session, Order([str(made)], tmp_path, model="churn")).version
    assert equipping.equipped(session, version) == version
