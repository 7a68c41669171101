"""Who gets which share of the requests when deployments come, go and are given other shares."""

import pytest

from modelwright import records
from modelwright.errors import NameInvalid, TrafficInvalid
from modelwright.records import Deployment, DeploymentStatus, Placement, Serving, Traffic
from modelwright.serving import sharing
from modelwright.serving.sharing import Shift

NOTHING = Serving((), Traffic())


def serving(traffic: Traffic, *names: str) -> Serving:
    def deployment(name: str) -> Deployment:
        healthy = DeploymentStatus.HEALTHY
        return Deployment(name, "churn", name, "churn:1", healthy, "", records.now(), None, name)

    return Serving(tuple(map(deployment, names)), traffic)


def test_the_worked_example_of_shares_and_their_remainder() -> None:
    first = sharing.with_newcomer(NOTHING, "A", Placement(share=20))
    assert first.split() == {"A": 100}
    second = sharing.with_newcomer(serving(first, "A"), "B", Placement(share=10))
    assert second.split() == {"A": 90, "B": 10}
    third = sharing.shifted(second, Shift({"B": 40}, default="B"), names=["A", "B"])
    assert third.split() == {"A": 20, "B": 80}


@pytest.mark.parametrize(
    ("shift", "told"),
    [
        (Shift({"B": 95}), "the shares sum to 105 %"),
        (Shift({"B": 101}), '"B" cannot have 101 %'),
        (Shift({"D": 10}), 'no deployment is called "D"'),
        (Shift(default="D"), 'no deployment is called "D"'),
        (Shift(control="D"), 'no deployment is called "D"'),
        (Shift(shadows={"A": 10}), '"A" would answer and be a shadow'),
    ],
)
def test_what_cannot_be_is_refused(shift: Shift, told: str) -> None:
    traffic = Traffic({"C": 10.0}, default="A")
    with pytest.raises(TrafficInvalid, match=told):
        sharing.shifted(traffic, shift, names=["A", "B", "C"])


def test_a_seventh_deployment_is_refused_though_it_has_no_share() -> None:
    six = serving(Traffic(default="A"), *"ABCDEF")
    with pytest.raises(TrafficInvalid, match="a seventh deployment"):
        sharing.with_newcomer(six, "G", Placement(share=0))


def test_a_share_ends_being_a_shadow_and_the_other_way_round() -> None:
    traffic = Traffic({"B": 10.0}, default="A", shadows={"C": 50.0})
    changed = sharing.shifted(traffic, Shift({"C": 5}, {"B": 20}), names=["A", "B", "C"])
    assert (changed.shares, changed.shadows) == ({"C": 5}, {"B": 20})
    ended = sharing.shifted(changed, Shift(shadows={"B": 0}), names=["A", "B", "C"])
    assert ended.shadows == {}


def test_what_goes_leaves_its_share_to_the_default_one_and_its_role_to_nobody() -> None:
    traffic = Traffic({"B": 10.0, "C": 30.0}, default="A", control="B", shadows={"D": 5.0})
    left = traffic.among(["A", "C", "D"])
    assert (left.split(), left.control, left.shadows) == ({"C": 30, "A": 70}, "", {"D": 5})
    assert traffic.among(["D", "C"]).default == "C"
    assert traffic.among(["D"]) == Traffic(default="D")


def test_a_renamed_deployment_keeps_its_share_and_roles() -> None:
    traffic = Traffic({"B": 10.0}, default="A", control="B", shadows={"C": 5.0})
    renamed = sharing.renamed(sharing.renamed(traffic, "B", "N"), "C", "M")
    assert renamed == Traffic({"N": 10.0}, default="A", control="N", shadows={"M": 5.0})


@pytest.mark.parametrize("name", ["blue", "churn:2", "Blue-2.1", "b" * 63])
def test_names_that_a_deployment_may_have(name: str) -> None:
    assert sharing.check_name(name, version="churn:2") == name


@pytest.mark.parametrize("name", ["churn:1", "2", "-blue", "blue-", "a/b", "a=b", "", "b" * 64])
def test_names_that_it_may_not(name: str) -> None:
    with pytest.raises(NameInvalid):
        sharing.check_name(name, version="churn:2")
