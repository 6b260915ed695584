from __future__ import annotations

import pytest

from serving.access import Access, RefusedError, is_loopback


def access(monkeypatch: pytest.MonkeyPatch, keys: str) -> Access:
    monkeypatch.setenv("SOUL_API_KEY", keys)
    return Access.from_environment()


def test_each_key_is_a_client_and_the_keys_are_kept_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = access(monkeypatch, "one, two\nthree")
    names = {keys.client({"authorization": f"Bearer {key}"}) for key in ("one", "two", "three")}
    assert len(names) == 3
    assert keys.client({"authorization": "bearer two"}) in names
    assert "two" not in repr(keys)


@pytest.mark.parametrize("given", [None, "", "two", "Basic two", "Bearer", "Bearer ", "Bearer twoo", "Bearer one,two"])
def test_what_is_no_key_is_refused(monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    with pytest.raises(RefusedError) as refused:
        access(monkeypatch, "one,two").client({} if given is None else {"authorization": given})
    assert refused.value.status == 401


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({"host": "127.0.0.1:8000"}, True),
        ({"host": "localhost:8000", "origin": "http://localhost:3000"}, True),
        ({"host": "[::1]:8000"}, True),
        ({"host": "soul.example:8000"}, False),
        ({"host": "127.0.0.1:8000", "origin": "https://soul.example"}, False),
        ({"host": "127.0.0.1:8000", "origin": "null"}, False),
        ({}, False),
    ],
)
def test_without_keys_no_page_of_another_site_is_let_in(
    monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], let_in: bool
) -> None:
    keys = access(monkeypatch, " , ")
    if let_in:
        assert keys.client(headers) == "this machine"
    else:
        with pytest.raises(RefusedError, match="only this machine") as refused:
            keys.client(headers)
        assert refused.value.status == 403


def test_which_hosts_are_this_machine_alone() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.9.1:80", "localhost", "[::1]:80")))
    assert not any(map(is_loopback, ("0.0.0.0", "10.0.0.1", "example.org", "", "localhost.example.org")))
