"""Uploading a board: results to a dataset repository, the site to a Space, scores to models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from benchmark.sanity.check_results import read_reports
from leaderboard.board import Board
from leaderboard.board_building import MAIN_METRIC, build_board, check_main
from leaderboard.definition import BoardDefinition
from leaderboard.hub.eval_results import address_of, model_file
from leaderboard.hub.repository_files import FOLDERS, TAG, Files, data_files, site_files
from leaderboard.render import TITLE
from leaderboard.results_folder import load_results
from milannotations.errors import InputError, did_you_mean
from milannotations.hub.card import read_metadata
from milannotations.hub.push import check_repo_id, connect
from milannotations.hub.repository import CARD, Kind, Operation, Present, Repository


@dataclass
class Pushed:
    """What was uploaded to one repository, or would be.

    Attributes:
        kind: Kind of the repository.
        repo_id: ``user/name``.
        files: Path in the repository, and size in bytes, of each file that is written.
        deleted: Paths of an earlier push that are deleted.
        url: Address of the commit or pull request; empty in a dry run.
        notes: What the user should know.
    """

    kind: Kind
    repo_id: str
    files: list[tuple[str, int]]
    deleted: list[str]
    url: str = ""
    notes: list[str] = field(default_factory=list)


def push(
    results: Path,
    *,
    definition: BoardDefinition | None = None,
    repo_id: str = "",
    site: Path | None = None,
    space: str = "",
    models: Mapping[str, str] | None = None,
    private: bool = True,
    dry_run: bool = False,
    token: str | None = None,
    api: HfApi | None = None,
) -> list[Pushed]:
    """Upload a board.

    Everything is read and checked first; then each repository gets one commit, which also deletes
    files of an earlier push that this one does not write. Models get a pull request.

    Args:
        results: Folder of results.
        definition: The board's definition, if it has one.
        repo_id: Dataset repository for results, tables and submissions; created if there is none.
        site: Folder of the rendered site.
        space: Space for the site; created, as a static one, if there is none.
        models: The model repository in which a method's scores are proposed, by the method's name.
        private: Whether new repositories are private. If True, a public repository is refused.
        dry_run: Upload nothing; repositories are read if possible.
        token: Token for the hub; default that of the current login.
        api: Client to use instead of a new one for the default hub.

    Returns:
        What was uploaded, one entry per repository.

    Raises:
        InputError: If the results, the site, the names or the token are invalid, the metric that
            ranks is known to fail the sanity checks, a repository holds something else, or the hub
            cannot be reached or refuses.
    """
    models = dict(models or {})
    _check_names(repo_id, site, space, models)
    api, token = connect(api, token, needed=not dry_run)
    loaded = load_results(results)
    present = {split for own in loaded for split in own.result.splits}
    board = build_board(
        loaded,
        definition.main_metric if definition else MAIN_METRIC,
        definition.ranking_split(present) if definition else None,
    )
    check_main(board, read_reports(results))
    proposed = _proposals(board, models, repo_id, space)
    title = definition.title if definition else TITLE
    wanted: list[tuple[Kind, str, Files]] = []
    if repo_id:
        files = data_files(repo_id, board, results, definition, space)
        wanted.append(("dataset", repo_id, files))
    if site is not None:
        wanted.append(("space", space, site_files(site, title, repo_id)))
    # All repositories are checked before the first is written.
    planned = [_plan(api, token, *target, private=private, dry_run=dry_run) for target in wanted]
    done = []
    label = definition.label if definition else "the leaderboard"
    for pushed, hub, before, files in planned:
        if not dry_run:
            operations = _operations(files, pushed.deleted)
            pushed.url = hub.commit(operations, f"Push {label}"[:200], before, private)
        done.append(pushed)
    stem = definition.name if definition else "milannotations"
    for method, data in proposed.items():
        path = f".eval_results/{stem}.yaml"
        pushed = Pushed("model", models[method], [(path, len(data))], [])
        if not dry_run:
            hub = Repository(api, models[method], None, token, "model")
            operations = _operations({path: data}, [])
            pushed.url = hub.propose(operations, f"Scores of {method} on {label}"[:200])
        done.append(pushed)
    return done


def _check_names(repo_id: str, site: Path | None, space: str, models: Mapping[str, str]) -> None:
    if not repo_id and not space:
        raise InputError("name a dataset repository (--repo), a Space (--space), or both")
    if bool(space) != (site is not None):
        raise InputError("a Space needs a rendered site, and a site needs a Space: pass both")
    if models and not repo_id:
        raise InputError("scores of models refer to the board's dataset repository: pass --repo")
    for name in filter(None, (repo_id, space, *models.values())):
        check_repo_id(name)


def _proposals(board: Board, models: Iterable[str], repo_id: str, space: str) -> dict[str, bytes]:
    """Return the content of the file that is proposed to each method's model repository."""
    by_name = {row.method.name: row for row in board.rows}
    proposed = {}
    for method in models:
        if method not in by_name:
            hint = did_you_mean(method, by_name)
            raise InputError(f"no result is of the method {method!r}{hint}")
        text = model_file(board, by_name[method], repo_id, address_of(space))
        if not text:
            raise InputError(f"{method} has no score by the board's main metric to be proposed")
        proposed[method] = text.encode()
    return proposed


def _plan(
    api: HfApi,
    token: str | None,
    kind: Kind,
    repo_id: str,
    files: Files,
    *,
    private: bool,
    dry_run: bool,
) -> tuple[Pushed, Repository, Present, Files]:
    hub = Repository(api, repo_id, None, token, kind)
    pushed = Pushed(kind, repo_id, [(path, _size(content)) for path, content in files.items()], [])
    try:
        present = hub.look()
        if present.commit is not None:
            _check_ours(hub, repo_id, kind, present)
    except InputError as error:
        if not dry_run:
            raise
        present = Present()
        pushed.notes.append(f"{repo_id}: {error}")
    if present.private is False and private:
        raise InputError(f"{repo_id} is public; pass --public to push to it (private=False)")
    if present.private and not private:
        pushed.notes.append(f"{repo_id} is private and stays so; its settings can change that")
    pushed.deleted = sorted(
        path
        for path in present.files
        if path not in files
        and path != ".gitattributes"
        and (kind == "space" or path.split("/")[0] in FOLDERS)
    )
    return pushed, hub, present, files


def _check_ours(hub: Repository, repo_id: str, kind: Kind, present: Present) -> None:
    """Refuse to overwrite a repository that holds something other than a board."""
    if present.is_untouched(kind):
        return
    try:
        tags = read_metadata(hub.text(CARD, present)).get("tags") if CARD in present.files else []
    except InputError:
        tags = []
    if not isinstance(tags, list) or TAG not in tags:
        raise InputError(
            f"{repo_id} holds something other than a leaderboard (its card lacks the tag {TAG}); "
            "name another repository"
        )


def _operations(files: Files, deleted: list[str]) -> list[Operation]:
    operations: list[Operation] = [
        CommitOperationAdd(path, content) for path, content in files.items()
    ]
    return operations + [CommitOperationDelete(path, is_folder=False) for path in deleted]


def _size(content: Path | bytes) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)
