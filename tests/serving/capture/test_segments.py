"""Whatever a crash leaves of a segment, what is read of it are the records before the first that is not whole."""

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving.capture.exchanges import exchange

from modelwright.records import CaptureLimits, Exchange
from modelwright.serving.capture import segments
from modelwright.serving.capture.encoding import decoded, encoded
from modelwright.serving.capture.journal import Journal


def written(folder: Path, contents: list[bytes], *, is_flushed: bool = False) -> Path:
    journal = Journal(folder, CaptureLimits())
    journal.append(contents, is_flushed=is_flushed)
    journal.seal()
    (path,) = folder.glob("*.wal")
    return path


def whole(content: bytes) -> tuple[list[bytes], segments.Scan]:
    scan = segments.Scan(content)
    return [bytes(each) for each in scan.records()], scan


CONTENTS = [encoded(exchange(number, headers={"traceparent": "t" * number}), {}) for number in range(5)]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("capture") / "churn", CONTENTS).read_bytes()


def ends(content: bytes) -> list[int]:
    """Return where each record of a segment ends, the first one's included."""
    scan = segments.Scan(content)
    found = [scan.end for _ in scan.records()]
    return [*found, len(content)]


def test_a_segment_says_its_format_and_its_name(content: bytes) -> None:
    records, scan = whole(content)
    assert records == CONTENTS
    assert scan.facts["format"] == "modelwright-capture"
    assert scan.facts["version"] == 2
    assert scan.facts["endpoint"] == "churn"
    assert (scan.end, scan.reason, scan.is_damaged) == (len(content), "", False)


def test_a_segment_cut_anywhere_gives_the_records_before(content: bytes) -> None:
    places = ends(content)
    for cut in range(len(content)):
        records, scan = whole(content[:cut])
        assert records == CONTENTS[: sum(place <= cut for place in places[1:])]
        assert not scan.is_damaged


def test_a_flipped_bit_is_never_a_wrong_record(content: bytes) -> None:
    places = ends(content)
    for bit in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        records, scan = whole(bytes(flipped))
        assert records == CONTENTS[: sum(place <= bit // 8 for place in places[1:])]
        assert scan.reason


def test_a_flipped_bit_is_told_from_an_unfinished_file(content: bytes) -> None:
    first = ends(content)[0]
    for bit in range(first * 8, (first + segments.PREFIX.size) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        assert whole(bytes(flipped))[1].is_damaged


@pytest.mark.parametrize("zeros", [1, 19, 20, 21, 4096, 100_000])
def test_zeros_at_the_end_are_no_records(content: bytes, zeros: int) -> None:
    records, scan = whole(content + bytes(zeros))
    assert records == CONTENTS
    assert scan.end == len(content)
    assert not scan.is_damaged


def test_zeros_in_place_of_a_record_end_what_is_read(content: bytes) -> None:
    places = ends(content)
    for begin, end in itertools.pairwise(places):
        hole = content[:begin] + bytes(end - begin) + content[end:]
        records, scan = whole(hole)
        assert records == CONTENTS[: places.index(begin)]
        assert scan.is_damaged == (end < len(content))


def test_what_the_disk_still_holds_of_another_segment_is_no_record(content: bytes, tmp_path: Path) -> None:
    other = written(tmp_path / "churn", CONTENTS).read_bytes()
    places = ends(content)
    mixed = content[: places[2]] + other[places[2] :]
    assert whole(mixed)[0] == CONTENTS[:2]


def test_a_segment_of_a_newer_release_says_so(content: bytes) -> None:
    told = b'{"format": "modelwright-capture", "version": 3, "segment": "s", "endpoint": "e"}'
    records, scan = whole(segments.MAGIC + segments.prefix(0, told, seed=0) + told)
    assert records == []
    assert "newer release" in scan.reason
    assert scan.is_damaged == any(content[scan.end :])


def test_the_zeros_that_a_killed_process_wrote_ahead_are_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "churn", CaptureLimits())
    for each in CONTENTS:
        journal.append([each], is_flushed=True)
    (path,) = (tmp_path / "churn").glob("*.wal")
    content = path.read_bytes()
    assert content.endswith(bytes(1000))
    assert whole(content)[0] == CONTENTS
    journal.seal()
    assert path.read_bytes() == content.rstrip(b"\0")


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=8),
    seed=st.integers(0, 1 << 30),
    damage=st.sampled_from(["cut", "zero", "noise", "swap"]),
)
def test_any_damage_leaves_a_prefix(sizes: list[int], seed: int, damage: str, tmp_path_factory) -> None:
    chance = random.Random(seed)
    contents = [encoded(exchange(n, input=chance.randbytes(size)), {}) for n, size in enumerate(sizes)]
    content = written(tmp_path_factory.mktemp("capture") / "churn", contents).read_bytes()
    begin = chance.randrange(len(content))
    end = min(len(content), begin + chance.randrange(1, 600))
    match damage:
        case "cut":
            broken = content[:begin]
        case "zero":
            broken = content[:begin] + bytes(end - begin) + content[end:]
        case "noise":
            broken = content[:begin] + chance.randbytes(end - begin) + content[end:]
        case _:
            broken = content[:begin] + content[end:] + content[begin:end]
    records = whole(broken)[0]
    assert records == contents[: len(records)]
    assert len(records) >= sum(place <= begin for place in ends(content)[1:])


_TEXT = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        Exchange,
        request_id=_TEXT,
        received_at=st.floats(0, 4e9),
        version=_TEXT,
        deployment=_TEXT,
        status=st.integers(100, 599),
        duration_ms=st.floats(0, 1e9),
        path=_TEXT,
        headers=st.dictionaries(_TEXT, _TEXT.filter(bool), max_size=3),
        input=st.binary(max_size=200),
        output=st.binary(max_size=200),
        output_type=_TEXT,
        shadow_of=_TEXT,
    )
)
def test_an_exchange_comes_back_as_it_was(given_exchange: Exchange) -> None:
    content = encoded(given_exchange, given_exchange.headers)
    assert decoded(content) == given_exchange
