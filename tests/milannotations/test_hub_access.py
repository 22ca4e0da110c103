"""A missing hub is told at once, and what the cache holds is used without it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from huggingface_hub import HfApi, constants, hf_hub_download

from baselines.milan.model import Milan
from milannotations import hub_access, load
from milannotations.attach.sources import HubSource
from milannotations.errors import InputError
from milannotations.hub.repository import Repository
from milannotations.hub_access import asking_hub, check_hub, hub_or_cache, unreachable
from milannotations.pretrained import load_processor

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """Go online with a hub of which nothing listens; give the connections that are tried."""
    requests: list[tuple[str, int]] = []
    usual = socket.create_connection

    def connect(address: tuple[str, int], *arguments: Any, **options: Any) -> socket.socket:
        requests.append(address)
        return usual(address, *arguments, **options)

    def sleep(seconds: float) -> None:
        raise AssertionError(f"waits {seconds} s to try again")

    with socket.socket() as reserved:  # a port at which nothing listens
        reserved.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        for name in _PROXIES:
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub_access, "_last", {})
        monkeypatch.setattr(hub_access.socket, "create_connection", connect)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", sleep)
        yield requests


_CALLS: dict[str, Callable[[], Any]] = {
    "load": lambda: load("someone/records"),
    "stream": lambda: load("someone/records", streaming=True),
    "images": lambda: HubSource("someone/images", "train"),
    "MILAN": lambda: Milan.from_pretrained("someone/milan"),
    "processor": lambda: load_processor(_auto("AutoTokenizer"), "someone/clip", "CLIP"),
    "push": lambda: Repository(HfApi(), "someone/records", None, None).read(),
}


def _auto(name: str) -> Any:
    import transformers

    return getattr(transformers, name)


@pytest.mark.parametrize("name", _CALLS)
def test_a_missing_hub_is_tried_once(name: str, tries: list[tuple[str, int]]) -> None:
    for _ in range(2):
        with pytest.raises(InputError, match=r"someone/.*cannot be reached \(Connection refused\)"):
            _CALLS[name]()
    assert len(tries) == 1
    assert constants.HF_HUB_OFFLINE is False


def test_a_hub_that_is_there_is_asked(
    tries: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        with asking_hub("it"), hub_or_cache():
            assert constants.HF_HUB_OFFLINE is False
        check_hub("it cannot be written")
        with pytest.raises(KeyError), asking_hub("it"):
            raise KeyError
    assert len(tries) == 1


def test_the_cache_is_used_without_a_hub(tries: list[tuple[str, int]]) -> None:
    with asking_hub("it"):
        assert constants.HF_HUB_OFFLINE is True
        value = "from the cache"
    assert value == "from the cache"
    with pytest.raises(OSError), hub_or_cache():
        hf_hub_download("someone/records", "README.md")
    with pytest.raises(InputError, match="owner/name cannot be written: the hub http://127"):
        check_hub("owner/name cannot be written")


def test_it_is_looked_for_again_after_a_while(
    tries: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(hub_access.time, "monotonic", lambda: now[0])
    for seconds, count in ((0, 1), (29, 1), (2, 2)):
        now[0] += seconds
        assert unreachable() is not None
        assert len(tries) == count


def test_nobody_is_asked_offline(
    tries: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert unreachable() is None
    assert tries == []


def test_a_proxy_is_tried_in_place_of_the_hub(
    tries: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = constants.ENDPOINT.removeprefix("http://")
    monkeypatch.setattr(constants, "ENDPOINT", "http://hub.example")
    for proxy in (f"http://{endpoint}", endpoint):
        monkeypatch.setattr(hub_access, "_last", {})
        monkeypatch.setenv("http_proxy", proxy)
        message = unreachable()
        assert message == (
            "the proxy 127.0.0.1 of http://hub.example cannot be reached (Connection refused)"
        )
    monkeypatch.setenv("no_proxy", "hub.example")
    assert [host for host, _ in tries] == ["127.0.0.1"] * 2


def test_a_look_up_that_hangs_is_not_waited_for(
    tries: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = threading.Event()

    def connect(*_: object) -> socket.socket:
        waiting.wait(60)
        return socket.socket()

    monkeypatch.setattr(hub_access.socket, "create_connection", connect)
    monkeypatch.setattr(hub_access, "TIMEOUT", 0.05)
    assert str(unreachable()).endswith("(no answer within 0.05 seconds)")
    waiting.set()
