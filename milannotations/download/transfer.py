"""Fetching the zip of an original release: resumed, checked, and from mirrors if any are set."""

from __future__ import annotations

import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import responses
from itertools import chain
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from rich.progress import Progress, TaskID

from milannotations.data_home import HOME_VARIABLE, downloads, make_folder
from milannotations.download.checksums import (
    adopt,
    is_good,
    published,
    settle,
)
from milannotations.download.partial import Origin, Partial, alone
from milannotations.errors import InputError
from milannotations.interruption import AGAIN, saying_what_is_kept
from milannotations.progress import byte_bar, note

__all__ = ["MIRRORS_VARIABLE", "Wanted", "adopt", "check_web", "fetch", "fetch_file"]

MIRRORS_VARIABLE = "MILANNOTATIONS_MIRRORS"
CONNECT_S = 10.0
READ_S = 60.0
# Consecutive breaks without a byte gained, after which a host is given up.
BREAKS = 4
BACKOFF_S = 1.0
REDIRECTS = 10
MAX_BYTES = 200 * 10**9
# How much a break can lose, and how often the progress bar moves.
CHUNK = 2**17
_SCHEMES = ("http", "https")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")


class _Failed(Exception):
    """This URL does not provide the zip."""


class _Broken(Exception):
    """The transfer broke off; resuming it may succeed."""


class _Unreachable(_Broken):
    """There was no answer, or the host reported a failure or too many requests."""


class _Changed(Exception):
    """The host cannot continue the part that is here."""


def fetch(config: str, *, mirrors: Sequence[str] | None = None, force: bool = False) -> Path:
    """Return the zip of a release, fetching it first if it is not here.

    A zip that is here and matches the recorded checksum is used without the network, as is one
    that was put there by hand before any checksum was recorded; any other is replaced. An
    interrupted transfer is resumed where it stopped, starting with the host it came from, whatever
    the order of mirrors. If the host gave neither a strong ETag nor a date, which would show
    whether the file has changed, it starts over. A second process that fetches the same config is
    refused.

    Args:
        config: ``alexnet-imagenet`` and so on.
        mirrors: Base URLs, asked in order for ``<base>/<config>.zip`` before the authors' host; by
            default those in ``MILANNOTATIONS_MIRRORS``, separated by commas or spaces.
        force: Fetch it again even if it is here, and record its checksum in place of another.

    Returns:
        The zip, in the folder of downloads.

    Raises:
        InputError: If the config is unknown or a mirror is not valid; if no host provides a
            complete zip (the message says what went wrong with each); if its checksum is not the
            recorded one; if there is no room, the folder cannot be written, or another process is
            fetching the same config.
    """
    release = published(config)
    name = release.name
    remedy = f"get the zip in another way and run: milannotations download {name} --from-zip PATH"
    return fetch_file(Wanted(name, f"{name}.zip", release.url, remedy), mirrors, force)


@dataclass(frozen=True)
class Wanted:
    """A file to fetch, which is a zip whatever its name, as releases and PyTorch checkpoints are.

    Attributes:
        name: Its key among the recorded checksums.
        file: Its name in the folder of downloads, and on mirrors.
        url: Where it is published.
        remedy: What to do if no host provides it, as the second half of a sentence.
        mirrored: Whether mirrors are asked for it.
    """

    name: str
    file: str
    url: str
    remedy: str
    mirrored: bool = True


def fetch_file(wanted: Wanted, mirrors: Sequence[str] | None = None, force: bool = False) -> Path:
    """Return a file, fetching it first if it is not here, as ``fetch`` does with a release.

    Raises:
        InputError: As in ``fetch``.
    """
    name = wanted.name
    urls = _urls(wanted, mirrors)
    target = make_folder(downloads()) / wanted.file
    with alone(target), byte_bar() as bar:
        if target.is_file() and not force and is_good(name, target, bar):
            return target
        partial = Partial(target)
        if not partial.is_whole():  # it is after a refused checksum
            if partial.size:
                note(f"going on: {partial.size / 1e6:.1f} MB of {name} were fetched before")
            with saying_what_is_kept(
                lambda: f"{partial.size / 1e6:.1f} MB are kept in {partial.data}: {AGAIN}"
            ):
                _transfer_from_any(wanted, urls, partial, bar)
        origin = partial.origin
        assert origin is not None
        way_out = f"Pass --force to take it; to have it fetched again, delete {partial.data}"
        settle(name, partial.data, origin.url, bar, force=force, way_out=way_out)
        partial.finish(target)
    return target


def check_web(url: str) -> None:
    """Raise InputError unless a URL uses http or https and names a host."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"{url[:200]!r} is no URL that can be fetched; write it as https://…")


def _urls(wanted: Wanted, mirrors: Sequence[str] | None) -> list[str]:
    if not wanted.mirrored:
        return [wanted.url]
    if mirrors is None:
        mirrors = re.split(r"[,\s]+", os.environ.get(MIRRORS_VARIABLE, ""))
    bases = [base for base in mirrors if base]
    for base in bases:
        try:
            parts = urlsplit(base)
            usable = parts.scheme in _SCHEMES and bool(parts.hostname)
        except ValueError:
            usable = False
        if not usable or "?" in base or "#" in base:
            raise InputError(
                f"the mirror {base!r} cannot be used (see {MIRRORS_VARIABLE}): give the base of "
                "URLs, as https://host/folder"
            )
    return [*(f"{base.rstrip('/')}/{wanted.file}" for base in bases), wanted.url]


def _shown(url: str) -> str:
    """Return a URL without user name and password, to be printed or stored."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _transfer_from_any(wanted: Wanted, urls: list[str], partial: Partial, bar: Progress) -> None:
    """Receive the whole zip from the first host that provides it."""
    origin = partial.origin
    task = bar.add_task(f"Downloading {wanted.name}", total=None)
    problems = [f"{wanted.file} could not be fetched:"]
    with requests.Session() as session:
        for url in sorted(urls, key=lambda url: origin is None or _shown(url) != origin.url):
            try:
                _transfer(session, url, partial, bar, task)
                return
            except _Failed as failed:
                reason = str(failed)
            problems.append(f"  {_shown(url)}: {reason}")
    notice = (
        f"{partial.size / 1e6:.1f} MB of it are kept for the next time. " if partial.size else ""
    )
    mirror = f"Set {MIRRORS_VARIABLE} to the base URL of a host that has it as <base>/{wanted.file}"
    way_out = f"{mirror}, or {wanted.remedy}" if wanted.mirrored else _capital(wanted.remedy)
    raise InputError("\n".join(problems) + f"\n{notice}{way_out}")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _transfer(
    session: requests.Session, url: str, partial: Partial, bar: Progress, task: TaskID
) -> None:
    """Receive the zip from one host, resuming after breaks for as long as more of it comes."""
    furthest = breaks = 0
    wait, reason, reached, anew = 0.0, "", False, False
    while breaks < BREAKS:
        time.sleep(wait)
        try:
            _receive(session, url, partial, anew, bar, task)
            break
        except _Changed:
            anew, wait = True, 0.0
            continue
        except _Broken as broken:
            reason = str(broken)
            if isinstance(broken, _Unreachable) and not reached:
                raise _Failed(reason) from broken
        anew, reached = False, True
        breaks = 0 if partial.size > furthest else breaks + 1
        furthest = max(furthest, partial.size)
        wait = BACKOFF_S * 2**breaks
    else:
        raise _Failed(f"broke off {breaks} times without getting further, at last: {reason}")
    if not zipfile.is_zipfile(partial.data):
        reason = f"sent {partial.size} bytes that are no whole zip"
        partial.discard()
        raise _Failed(reason)


def _receive(
    session: requests.Session, url: str, partial: Partial, anew: bool, bar: Progress, task: TaskID
) -> None:
    """Make one request and keep what comes: the rest of the partial file, or a whole new one."""
    origin, have = partial.origin, partial.size
    headers = {"Accept-Encoding": "identity"}
    if origin and not anew and (version := origin.validator) and origin.url == _shown(url):
        missing = 0 < have < (origin.total or MAX_BYTES)
        headers |= {"Range": f"bytes={have}-", "If-Range": version[1]} if missing else {}
    with closing(_answer(session, url, headers)) as response:
        _check_answer(response, "Range" in headers)
        chunks = _chunks(response)
        if origin and response.status_code == 206:
            total: int | None = _total_of_part(response, origin, have)
            _check_size(total or 0, partial)
        else:
            # Checked before anything here is discarded: a network's login page answers every
            # request, and must not cost what was already received of the zip.
            first = next(chunks, b"")
            if not first or not b"PK".startswith(first[:2]):
                kind = response.headers.get("Content-Type", "no type")[:60]
                raise _Failed(f"sent no zip but {kind!r} that begins with {first[:20]!r}")
            length = response.headers.get("Content-Length", "")
            total = int(length) if re.fullmatch("[0-9]{1,18}", length) else None
            _check_size(total or 0, partial)
            partial.begin(Origin.of(_shown(url), response.headers, total))
            chunks, have = chain([first], chunks), 0
        due = MAX_BYTES if total is None else total
        with partial.data.open("ab") as file:
            for chunk in chunks:
                have += len(chunk)
                if have > due:
                    break
                file.write(chunk)
                bar.update(task, completed=have, total=total)
    if have > due:
        partial.discard()
        raise _Failed(f"sent more than the {due} bytes that were due")
    if total is not None and have < total:
        raise _Broken(f"the connection ended at {have} of {total} bytes")


def _answer(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Return the answer to a request, with only its headers read."""
    for _ in range(REDIRECTS + 1):
        try:
            # Redirects are followed here, since `requests` would read their bodies, of any size.
            limits = (CONNECT_S, READ_S)
            response = session.get(
                url, headers=headers, stream=True, timeout=limits, allow_redirects=False
            )
            location = session.get_redirect_target(response)
            if location is None:
                return response
            response.close()
            url = urljoin(url, location)
            on_web = urlsplit(url).scheme in _SCHEMES
        except (requests.RequestException, ValueError) as error:
            raise _Unreachable(_reason(error)) from error
        if not on_web:
            raise _Failed(f"redirects to {url[:200]!r}; only http and https are followed")
    raise _Failed(f"redirects more than {REDIRECTS} times")


def _check_answer(response: requests.Response, part_asked: bool) -> None:
    status = response.status_code
    answer = f"answers {status} {responses.get(status, '')}".rstrip()
    if status == 416 and part_asked:
        raise _Changed
    if status == 429 or status >= 500:
        raise _Unreachable(answer)
    if status not in (200, 206) or (status == 206 and not part_asked):
        raise _Failed(answer)
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise _Failed("sends it in an encoding that was not asked for")


def _total_of_part(response: requests.Response, origin: Origin, have: int) -> int:
    """Return the size of the whole file, after checking that this is the requested part."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not match or int(match[1]) != have or int(match[2]) != (origin.total or int(match[2])):
        raise _Changed
    name, value = origin.validator or ("", "")
    if response.headers.get(name, value) != value:
        raise _Changed
    return int(match[2])


def _check_size(total: int, partial: Partial) -> None:
    if total > MAX_BYTES:
        raise _Failed(f"announces {total} bytes; at most {MAX_BYTES} are taken")
    folder, needed = partial.data.parent, total - partial.size
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} has room for {free / 1e9:.2f} GB, but {needed / 1e9:.2f} GB are to come: "
            f"make room, or set {HOME_VARIABLE} to a folder on another disk"
        )


def _chunks(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(CHUNK)
    except requests.RequestException as error:
        raise _Broken(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Say briefly what went wrong; `requests` nests its errors."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_S:g} s"
    if isinstance(error, requests.Timeout):
        return f"no answer within {READ_S:g} s"
    causes = [error]
    for cause in causes:
        inner = (getattr(cause, "reason", None), *cause.args)
        causes += [nested for nested in inner if isinstance(nested, Exception)]
    return str(causes[-1]).rsplit(": ", 1)[-1][:200]
