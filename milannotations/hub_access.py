"""Access to the hub that reports an unreachable hub within seconds.

If a name cannot be resolved or nothing listens, the hub's library keeps retrying for half a minute.
A single connection shows the same in moments; the library is then told that it is offline, and uses
what its cache holds.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from huggingface_hub import constants, utils

from milannotations.errors import InputError

TIMEOUT = 5.0  # seconds that a connection may take, including the name lookup
_REMEMBERED = 30.0  # seconds after which an unreachable hub is tried again
_last: dict[str, tuple[float, str | None]] = {}  # endpoint: when tried, why it is unreachable


@contextmanager
def asking_hub(what: str) -> Iterator[None]:
    """Let the block ask the hub; if the hub cannot be reached, it has only the cache.

    Args:
        what: What is requested, for the message: ``"model 'owner/name'"``.

    Raises:
        InputError: In place of any error in the block, if the hub cannot be reached.
    """
    problem = unreachable()
    if problem is None:
        yield
        return
    with _offline():
        try:
            yield
        except Exception as error:
            raise InputError(
                f"{what} is not in the cache, and {problem}: connect, or name a local folder "
                "(HF_HUB_OFFLINE=1 asks the cache alone)"
            ) from error


def from_hub(name: str, what: str = "it") -> AbstractContextManager[None]:
    """Return ``asking_hub`` for the name of a model; a local folder needs no hub."""
    return nullcontext() if Path(name).is_dir() else asking_hub(what)


@contextmanager
def hub_or_cache() -> Iterator[None]:
    """Do the same as ``asking_hub``, but leave errors as they are."""
    if unreachable() is None:
        yield
    else:
        with _offline():
            yield


def check_hub(what: str, endpoint: str | None = None) -> None:
    """Raise InputError if the hub cannot be reached, before something that needs it.

    Args:
        what: What cannot be done in that case: ``"owner/name cannot be written"``.
        endpoint: URL of the hub, if not the default one.
    """
    if problem := unreachable(endpoint):
        raise InputError(f"{what}: {problem}; connect, and run the same command again")


def unreachable(endpoint: str | None = None) -> str | None:
    """Return why the hub cannot be reached; None if it can, or if it must not be asked."""
    if constants.HF_HUB_OFFLINE:
        return None
    endpoint = endpoint or constants.ENDPOINT
    when, problem = _last.get(endpoint, (0.0, ""))
    if problem == "" or (problem is not None and time.monotonic() - when > _REMEMBERED):
        problem = _try(endpoint)
        _last[endpoint] = (time.monotonic(), problem)
    return problem


def _try(endpoint: str) -> str | None:
    url = urlsplit(endpoint)
    proxy = getproxies().get(url.scheme)
    if proxy and not proxy_bypass(url.netloc):
        through = urlsplit(proxy if "://" in proxy else f"//{proxy}", scheme="http")
        what, host = f"the proxy {through.hostname} of {endpoint}", through
    else:
        what, host = f"the hub {endpoint}", url
    try:
        port = host.port or {"https": 443, "http": 80}.get(host.scheme, 1080)
    except ValueError:
        return None  # the library reports what is wrong with such an address
    reason = _connect(host.hostname or "", port)
    return f"{what} cannot be reached ({reason})" if reason else None


def _connect(host: str, port: int) -> str | None:
    """Return why nothing answers. Name lookup has no time limit, hence the thread."""
    reasons: list[str | None] = []

    def run() -> None:
        try:
            socket.create_connection((host, port), TIMEOUT).close()
            reasons.append(None)
        except (OSError, UnicodeError) as error:
            reasons.append(getattr(error, "strerror", None) or str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    return reasons[0] if reasons else f"no answer within {TIMEOUT:g} seconds"


@contextmanager
def _offline() -> Iterator[None]:
    """Set what HF_HUB_OFFLINE=1 sets in the libraries that are loaded."""
    settings: list[tuple[Any, str]] = [(constants, "HF_HUB_OFFLINE")]
    for module, name in (
        ("datasets.config", "HF_HUB_OFFLINE"),
        ("datasets.config", "HF_DATASETS_OFFLINE"),
        ("transformers.utils.hub", "_is_offline_mode"),  # until version 5
    ):
        if hasattr(sys.modules.get(module), name):
            settings.append((sys.modules[module], name))
    before = [getattr(module, name) for module, name in settings]
    for module, name in settings:
        setattr(module, name, True)
    _forget_sessions()
    try:
        yield
    finally:
        for (module, name), value in zip(settings, before, strict=True):
            setattr(module, name, value)
        _forget_sessions()


def _forget_sessions() -> None:
    """Discard sessions: before version 1 of the hub's library, each stays online or offline."""
    if reset := getattr(utils, "reset_sessions", None):
        reset()
