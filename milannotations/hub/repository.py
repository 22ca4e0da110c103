"""A repository on a hub: reading what it holds, and committing to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from milannotations.errors import InputError
from milannotations.hub.card import Facts, facts_from_json, read_metadata
from milannotations.hub_access import check_hub

CARD = "README.md"
FACTS = "facts.json"
Operation = CommitOperationAdd | CommitOperationDelete
Kind = Literal["dataset", "space", "model"]
# What a hub itself puts into a new repository.
_FIRST = frozenset({".gitattributes"})
_FIRST_OF_A_SPACE = _FIRST | {CARD, "index.html", "style.css"}
_MAX_CARD = 10_000_000
# The client's errors derive from those of its HTTP library, which differs between the versions
# that we support; a failed transfer of a large file raises RuntimeError.
_NETWORK: tuple[type[Exception], ...] = (
    *(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception)),
    OSError,
    RuntimeError,
    ValueError,
)
_ADVICE = {
    400: "the hub refuses the request",
    401: "the token is not valid: run `hf auth login`, or set HF_TOKEN",
    403: "the token may not write there: give it the right to, or choose your own namespace",
    404: "no such repository or revision, or the token may not see it",
    409: "the repository is being changed by somebody else: try again",
    412: "the repository was changed in the meantime: run the same command again",
    413: "the hub finds the upload too large",
    429: "too many requests: wait some minutes and try again",
}


@dataclass
class Present:
    """What the repository holds now; ``commit`` is None if it does not exist."""

    commit: str | None = None
    private: bool | None = None
    files: set[str] = field(default_factory=set)
    metadata: dict[str, Any] = field(default_factory=lambda: {"configs": []})
    facts: dict[str, Facts] = field(default_factory=dict)
    branch: bool = True  # whether the revision exists, if one is requested

    def is_untouched(self, kind: Kind) -> bool:
        """Whether it holds only what a hub itself puts into a new repository."""
        return self.files <= (_FIRST_OF_A_SPACE if kind == "space" else _FIRST)

    @property
    def configs(self) -> list[str]:
        """Names of the configs that its card lists."""
        return [str(config["config_name"]) for config in self.metadata["configs"]]


class Repository:
    """One repository on a hub; errors are reported with what to do about them."""

    def __init__(
        self,
        api: HfApi,
        repo_id: str,
        revision: str | None,
        token: str | None,
        kind: Kind = "dataset",
    ) -> None:
        self._api = api
        self._revision = revision
        self._kind = kind
        self._where: dict[str, Any] = {"repo_id": repo_id, "repo_type": kind, "token": token}

    def look(self) -> Present:
        """Return the files that the repository holds, at one commit."""
        present = Present()
        repo_id = self._where["repo_id"]
        check_hub(f"{repo_id} cannot be read", getattr(self._api, "endpoint", None))
        with self._told("read"):
            try:
                info = self._api.repo_info(**self._where, revision=self._revision)
            except RevisionNotFoundError:  # the branch will be created from main
                info, present.branch = self._api.repo_info(**self._where), False
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                return Present(branch=self._revision is None)
            present.commit, present.private = info.sha, info.private
            present.files = set(self._api.list_repo_files(**self._where, revision=present.commit))
        return present

    def read(self) -> Present:
        """Return what a dataset repository holds, at one commit."""
        present = self.look()
        if CARD in present.files:
            try:
                present.metadata = read_metadata(self.text(CARD, present))
            except InputError as error:
                raise InputError(f"{self._where['repo_id']}: {CARD}: {error}; mend it") from error
        for config in present.configs:
            path = f"data/{config}/{FACTS}"
            facts = facts_from_json(self.text(path, present)) if path in present.files else None
            if facts is not None and facts.config == config:
                present.facts[config] = facts
        return present

    def commit(
        self,
        operations: list[Operation],
        message: str,
        present: Present,
        private: bool,
    ) -> str:
        """Create what is missing, commit everything at once, and return the commit's URL."""
        with self._told("written"):
            where = dict(self._where)
            if self._kind == "space":
                where["space_sdk"] = "static"
            self._api.create_repo(**where, private=private, exist_ok=True)
            parent = present.commit
            if parent is None:
                # What the token could not read before must not be overwritten now.
                info = self._api.repo_info(**self._where)
                parent = info.sha
                files = set(self._api.list_repo_files(**self._where, revision=parent))
                untouched = Present(files=files).is_untouched(self._kind)
                if not untouched or (private and info.private is False):
                    raise InputError(
                        f"{self._where['repo_id']} appeared in the meantime: run the same command "
                        "again"
                    )
            if self._revision is not None and not present.branch:
                self._api.create_branch(**self._where, branch=self._revision, exist_ok=True)
            commit = self._api.create_commit(
                **self._where,
                operations=operations,
                commit_message=message,
                revision=self._revision,
                parent_commit=parent,
            )
        return str(commit.commit_url)

    def propose(self, operations: list[Operation], message: str) -> str:
        """Open a pull request and return its URL; the repository itself stays as it is."""
        with self._told("written"):
            commit = self._api.create_commit(
                **self._where, operations=operations, commit_message=message, create_pr=True
            )
        return str(commit.pr_url)

    def text(self, path: str, present: Present) -> str:
        """Return a text file of the commit that was read."""
        with self._told("read"):
            downloaded = Path(
                self._api.hf_hub_download(**self._where, filename=path, revision=present.commit)
            )
            if downloaded.stat().st_size > _MAX_CARD:
                raise InputError(f"{self._where['repo_id']}: {path} is too large to be read")
            return downloaded.read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        repo_id = self._where["repo_id"]
        try:
            yield
        except InputError:
            raise
        except OfflineModeIsEnabled as error:
            raise InputError(
                f"{repo_id} cannot be {what}: unset HF_HUB_OFFLINE, which forbids it"
            ) from error
        except _NETWORK as error:
            message = " ".join(str(error).split())[:400] or type(error).__name__
            raise InputError(f"{repo_id} cannot be {what}: {_advice(error)} ({message})") from error


def _advice(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status is not None:
        return _ADVICE.get(status, "the hub failed: try again later")
    if type(error) in (ValueError, RuntimeError):
        return "the hub's client refuses"
    return "the hub cannot be reached: check the network, and HF_ENDPOINT if you set it"
