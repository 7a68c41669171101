"""`wright model`: finding versions, labels, aliases and what happened to them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from models.served import Wright

import modelwright
from modelwright.cli.program import program
from modelwright.errors import AliasMissing, ModelMissing, NameInvalid, PropertyFixed


@pytest.fixture
def versions(folder: Path, wright: Wright) -> None:
    """Three versions of `churn`, one of `other`, each with labels of its own."""
    (folder / "model.pkl").write_text("model")
    for name, *labels in (
        ("churn", "area=eu", "year=2024"),
        ("churn", "area=us", "year=2024"),
        ("churn", "area=eu"),
        ("other", "area=eu"),
    ):
        tags = [part for each in labels for part in ("--tag", each)]
        wright("register", "model.pkl", "--name", name, *tags, "--property", f"areas={labels[0]}")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), ["other:1", "churn:3", "churn:2", "churn:1"]),
        (("churn",), ["churn:3", "churn:2", "churn:1"]),
        (("--tag", "area=eu"), ["other:1", "churn:3", "churn:1"]),
        (("--tag", "area=eu", "--tag", "year=2024"), ["churn:1"]),
        (("--tag", "year"), ["churn:2", "churn:1"]),
        (("--tag", "area"), ["other:1", "churn:3", "churn:2", "churn:1"]),
        (("--tag", "area = eu"), []),
        (("--property", "areas=area=us"), ["churn:2"]),
        (("--framework", "custom", "--latest"), ["other:1", "churn:3"]),
        (("--framework", "sklearn"), []),
        (("--limit", "2"), ["other:1", "churn:3"]),
    ],
)
def test_lists_are_narrowed_by_all_that_is_asked(
    versions: None, wright: Wright, options: tuple[str, ...], found: list[str]
) -> None:
    assert [each["reference"] for each in wright("list", *options, "--json")] == found


def test_a_list_without_matches_says_so(versions: None, wright: Wright) -> None:
    assert wright("list", "--tag", "area=xx") == "no version is like that\n"


def test_datasets_and_runs_have_the_same_filters(folder: Path, wright: Wright) -> None:
    def names(noun: str, *options: str) -> int:
        done = CliRunner().invoke(program, [noun, "list", "--json", *options], catch_exceptions=False)
        return len(json.loads(done.stdout))

    (folder / "data.csv").write_text("a\n1\n")
    for name, *tags in (("a", "area=eu", "year=2024"), ("b", "area=us", "year=2024"), ("c", "area=eu")):
        labels = dict(each.split("=") for each in tags)
        modelwright.start_run(name, tags=labels).finish()
        options = [part for each in tags for part in ("--tag", each)]
        assert CliRunner().invoke(program, ["dataset", "add", name, "data.csv", *options]).exit_code == 0
    (folder / "model.pkl").write_text("model")
    wright("register", "model.pkl", "--name", "churn", "--dataset", "training data=a:1")
    for noun in ("run", "dataset"):
        assert names(noun, "--tag", "area=eu") == 2
        assert names(noun, "--tag", "area=eu", "--tag", "year=2024") == 1
        assert names(noun, "--tag", "year") == 2
    assert [each["reference"] for each in wright("list", "--dataset", "a:1", "--json")] == ["churn:1"]
    assert wright("list", "--dataset", "b:1", "--json") == []


def test_tags_are_replaced_and_removed(versions: None, wright: Wright) -> None:
    assert wright("tag", "churn:1", "area=asia", "new=1", "--remove", "year") == "area=asia\nnew=1\n"
    assert wright("tag", "churn:1", "--json") == {"area": "asia", "new": "1"}
    assert wright("list", "--tag", "area=asia", "--json")[0]["version"] == 1
    (record,) = (each for each in wright("history", "churn", "--json") if each["action"] == "model.tagged")
    assert (record["before"]["area"], record["after"]["area"]) == ("eu", "asia")


def test_properties_are_added_and_stay(versions: None, wright: Wright) -> None:
    assert wright("property", "add", "churn:1", "built=ci") == "areas=area=eu\nbuilt=ci\n"
    wright("property", "add", "churn:1", "built=ci")
    with pytest.raises(PropertyFixed, match='property "built" of churn:1 is "ci" and stays so'):
        wright("property", "add", "churn:1", "built=hand", "more=1")
    assert wright("show", "churn:1", "--json")["properties"] == {"areas": "area=eu", "built": "ci"}


def test_an_alias_moves_and_its_history_says_who_when_and_why(versions: None, wright: Wright) -> None:
    wright("alias", "churn:1", "champion", "--why", "the first")
    assert wright("alias", "churn:3", "champion", "--why", "it is better") == "churn@champion is churn:3\n"
    wright("alias", "churn:3", "champion")  # where it is already
    assert wright("show", "churn@champion", "--json")["version"] == 3
    assert wright("unalias", "churn@champion", "--why", "withdrawn").startswith("churn@champion is no more")

    found = wright("history", "churn@champion", "--json")
    assert [(each["action"], each["before"], each["after"], each["why"]) for each in found] == [
        ("alias.moved", None, {"model": "churn", "alias": "champion", "version": 1}, "the first"),
        ("alias.moved", {"version": 1}, {"model": "churn", "alias": "champion", "version": 3}, "it is better"),
        ("alias.removed", {"version": 3}, None, "withdrawn"),
    ]
    assert all(each["actor"] and each["at"] for each in found)
    assert "it is better" in wright("history", "churn@champion")
    whole = [each["action"] for each in wright("history", "churn", "--json")]
    assert whole == ["model.registered"] * 3 + ["alias.moved", "alias.moved", "alias.removed"]


def test_a_history_is_that_of_one_model(versions: None, folder: Path, wright: Wright) -> None:
    for name in ("churn.eu", "churn-eu", "churnx"):
        wright("register", "model.pkl", "--name", name)
    assert {each["subject"] for each in wright("history", "churn", "--json")} == {
        f"models/churn:{n}" for n in (1, 2, 3)
    }


@pytest.mark.parametrize(
    "arguments",
    [("history", "gone"), ("history", "churn@gone"), ("alias", "gone", "champion"), ("unalias", "churn@gone")],
)
def test_what_is_not_there_is_missing(versions: None, wright: Wright, arguments: tuple[str, ...]) -> None:
    with pytest.raises((ModelMissing, AliasMissing)):
        wright(*arguments)


def test_faults_of_use(versions: None, wright: Wright) -> None:
    assert "is not MODEL@ALIAS" in wright("unalias", "churn", code=2)
    assert "is not NAME=VALUE" in wright("tag", "churn:1", "area", code=2)
    with pytest.raises(NameInvalid, match='"a b" is no valid alias name'):
        wright("alias", "churn:1", "a b")


def test_a_description_is_written_over(versions: None, wright: Wright) -> None:
    wright("describe", "churn:1", "the first one")
    wright("describe", "churn:1", "the very first one")
    assert "the very first one" in wright("show", "churn:1")
    assert "the very first one" in wright("list", "churn")
