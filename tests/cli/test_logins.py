"""The tokens that a user has kept for workspaces elsewhere."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelwright.cli.remote import logins
from modelwright.errors import LoginsDamaged


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where they are kept."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("WRIGHT_TOKEN", raising=False)
    return tmp_path / "modelwright" / "logins.json"


def test_many_logins_at_once_lose_none(kept: Path) -> None:
    urls = [f"http://host-{number}:4810" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda url: logins.keep(url, f"token of {url}"), urls))
        assert [logins.find(each) for each in urls] == [f"token of {each}" for each in urls]
        assert all(pool.map(logins.forget, urls[1:]))
    assert [each for each in urls if logins.find(each)] == urls[:1]
    assert kept.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in kept.parent.iterdir()) == ["logins.json", "logins.lock"]


@pytest.mark.parametrize("text", ["{", "[]", '{"http://host": 7}'])
def test_a_damaged_file_is_named_and_stays_as_it_is(kept: Path, text: str) -> None:
    kept.parent.mkdir()
    kept.write_text(text)
    for act in (lambda: logins.find("http://host"), lambda: logins.keep("http://host", "new")):
        with pytest.raises(LoginsDamaged, match=str(kept)):
            act()
    assert kept.read_text() == text
