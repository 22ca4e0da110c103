"""Uploading dataset folders to one dataset repository of a hub, in one commit."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from milannotations.errors import InputError
from milannotations.hub.card import render_card
from milannotations.hub.contents import (
    Contents,
    find_folders,
    read_contents,
    with_fingerprint,
    without_images,
)
from milannotations.hub.repository import CARD, FACTS, Operation, Present, Repository
from milannotations.networks.record import NETWORK_FILE
from milannotations.progress import progress_bar


@dataclass
class PushReport:
    """What was uploaded, or would be.

    Attributes:
        repo_id: ``user/name``.
        files: Path in the repository and size in bytes of each file that is written.
        deleted: Paths that are deleted: shards of an earlier push.
        unchanged: Configs of the repository that stay as they are.
        card: The new ``README.md``.
        dry_run: Whether nothing was uploaded.
        url: The commit; empty in a dry run.
        notes: What the user should know about it.
    """

    repo_id: str
    files: list[tuple[str, int]]
    deleted: list[str]
    unchanged: list[str]
    card: str
    dry_run: bool
    url: str = ""
    notes: list[str] = field(default_factory=list)


def push(
    names_or_folders: str | Path | Sequence[str | Path],
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = True,
    dry_run: bool = False,
    revision: str | None = None,
    include_images: bool | Literal["auto"] = "auto",
    api: HfApi | None = None,
) -> PushReport:
    """Upload dataset folders as configs of one dataset repository.

    Everything is checked first; then one commit writes all shards and the card, and deletes
    earlier shards of the pushed configs. Other configs in the repository stay, and stay listed.
    The card, ``README.md``, is written anew.

    Args:
        names_or_folders: Installed configs, groups of them (``base``), or dataset folders.
        repo_id: ``user/name`` on the hub; the repository is created if it does not exist.
        token: Token for the hub; by default that of the current login.
        private: Whether a new repository is private. The visibility of an existing one is never
            changed, and a public one is refused unless this is False.
        dry_run: Upload nothing; the repository is read, if possible.
        revision: Branch to write; default ``main``. It is created if it does not exist.
        include_images: ``"auto"`` refuses configs with images of ImageNet, whose terms forbid
            redistribution; False empties the column ``images`` of all configs, and True states
            that you have the right to upload them.
        api: Client to use, instead of a new one for the default hub.

    Raises:
        InputError: If anything is wrong with the names, the folders, the repository or the token,
            or if the hub cannot be reached or refuses. Nothing has been committed then.
    """
    if isinstance(names_or_folders, (str, Path)):
        names_or_folders = [names_or_folders]
    check_repo_id(repo_id)
    api, token = connect(api, token, needed=not dry_run)
    contents = [read_contents(folder) for folder in find_folders(names_or_folders)]
    _check_configs(contents, include_images)
    hub = Repository(api, repo_id, revision, token)
    notes: list[str] = []
    try:
        present = hub.read()
    except InputError as error:
        if not dry_run:
            raise
        present = Present()
        notes.append(f"what {repo_id} holds already is not considered here: {error}")
    if present.commit is None and token is None and not notes:
        notes.append("without a token of the hub a private repository is not seen")
    if present.private is False and private:
        raise InputError(f"{repo_id} is public; pass --public to push to it (private=False)")
    with tempfile.TemporaryDirectory(prefix="milannotations-upload-") as folder:
        contents = _prepare(contents, Path(folder), include_images is False)
        report, operations = _plan(repo_id, contents, present, dry_run)
        report.notes = notes
        if present.private and not private:
            report.notes.append(f"{repo_id} is private and stays so; its settings can change that")
        if not dry_run:
            configs = ", ".join(content.facts.config for content in contents)
            report.url = hub.commit(operations, f"Push {configs}"[:200], present, private)
    return report


def connect(api: HfApi | None, token: str | None, needed: bool) -> tuple[HfApi, str | None]:
    """Return a client and the token to use.

    Raises:
        InputError: If a token is needed and there is none.
    """
    api = api or HfApi(token=token)
    token = token or (api.token if isinstance(api.token, str) else None) or get_token()
    if token is None and needed:
        raise InputError("no token of the hub: run `hf auth login`, or set HF_TOKEN")
    return api, token


def check_repo_id(repo_id: str) -> None:
    """Check the name of a repository.

    Raises:
        InputError: If it does not have the form ``user/name``.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError(f"repository {repo_id!r}: {error}") from error
    if "/" not in repo_id:
        raise InputError(f"repository {repo_id!r}: write it as USER/NAME")


def _check_configs(contents: list[Contents], include_images: bool | Literal["auto"]) -> None:
    """Refuse configs that would share a name, and images that must not be redistributed."""
    seen: dict[str, Path] = {}
    for content in contents:
        config, folder = content.facts.config, content.shards[0].parents[1]
        # Two names that differ only in case would share a folder on many disks.
        other = seen.setdefault(config.casefold(), folder)
        if other != folder:
            raise InputError(f"{other} and {folder} would both be the config {config!r}")
        if include_images == "auto" and content.facts.with_images and content.facts.of_imagenet:
            raise InputError(
                f"{config} ({folder}): its exemplars are, or may be, images of ImageNet, whose "
                "terms forbid to redistribute them. Pass --without-images to push it with the "
                "column 'images' emptied, or --i-may-redistribute-images if you have the right "
                "to (include_images=False or True)"
            )


def _prepare(contents: list[Contents], folder: Path, drop_images: bool) -> list[Contents]:
    """Return the contents as they will be uploaded, with their fingerprints."""
    with progress_bar() as progress:
        total = sum(len(content.shards) for content in contents)
        task = progress.add_task("Checking shards", total=total)
        ready = [with_fingerprint(content, lambda: progress.advance(task)) for content in contents]
        if drop_images:
            dropping = [content for content in ready if content.facts.with_images]
            task = progress.add_task(
                "Leaving images out", total=sum(len(content.shards) for content in dropping)
            )
            ready = [
                without_images(
                    content, folder / content.facts.config, lambda: progress.advance(task)
                )
                if content.facts.with_images
                else content
                for content in ready
            ]
    return ready


def _plan(
    repo_id: str, contents: list[Contents], present: Present, dry_run: bool
) -> tuple[PushReport, list[Operation]]:
    pushed = {content.facts.config: content.facts for content in contents}
    untouched = [config for config in present.configs if config not in pushed]
    all_facts = {**present.facts, **pushed}
    card = render_card(repo_id, list(all_facts.values()), present.metadata)
    uploads: dict[str, Path | bytes] = {CARD: card.encode("utf-8")}
    for content in contents:
        data_folder = f"data/{content.facts.config}"
        uploads.update({f"{data_folder}/{shard.name}": shard for shard in content.shards})
        if content.network is not None:
            uploads[f"{data_folder}/{NETWORK_FILE}"] = content.network
        uploads[f"{data_folder}/{FACTS}"] = (content.facts.model_dump_json(indent=1) + "\n").encode(
            "utf-8"
        )
    stale = sorted(
        path
        for path in present.files
        if path not in uploads
        and re.fullmatch(rf"data/([^/]+)/(.*\.parquet|{NETWORK_FILE})", path)
        and path.split("/")[1] in pushed
    )
    sizes = [
        (path, what.stat().st_size if isinstance(what, Path) else len(what))
        for path, what in uploads.items()
    ]
    operations: list[Operation] = []
    if not dry_run:  # an addition reads its file to hash it
        operations += [CommitOperationAdd(path, what) for path, what in uploads.items()]
        operations += [CommitOperationDelete(path, is_folder=False) for path in stale]
    return PushReport(repo_id, sizes, stale, untouched, card, dry_run), operations
