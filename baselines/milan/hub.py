"""Downloading models from the hub, and uploading them."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from baselines.milan.model_folder import CARD, CONFIG, VOCABULARY, WEIGHTS, ModelParts, write
from baselines.milan.published import PUBLISHED, Convert, is_published, published_folder
from milannotations.errors import InputError
from milannotations.hub_access import asking_hub, check_hub

# Only these files are downloaded, so never a pickle.
FILES = (CONFIG, VOCABULARY, WEIGHTS, CARD)
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def model_folder(source: str, convert: Convert, revision: str | None = None) -> Path:
    """Return the folder of a model: its own, or the copy of a published model or a repository.

    Args:
        source: A folder, a published model's name, the URL of a checkpoint, or OWNER/NAME.
        convert: See ``published_folder``.
        revision: Of the repository.

    Raises:
        InputError: If there is no such folder or repository, or the hub cannot be reached.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        if not (folder / FILES[0]).is_file():
            raise InputError(f"{folder} holds no {FILES[0]}; is it a model that `train` wrote?")
        return folder
    if folder.is_file():
        raise InputError(
            f"{folder} is a file; for the authors' checkpoints run `milannotations "
            "import-checkpoint` first, or name them: " + ", ".join(PUBLISHED)
        )
    if is_published(source):
        return published_folder(source, convert)
    if not _NAME.fullmatch(source) or source.startswith("."):
        raise InputError(
            f"model {source!r} is neither a folder nor OWNER/NAME of the hub, nor a URL or one "
            f"of the authors' models ({', '.join(PUBLISHED)})"
        )
    try:
        with asking_hub("it"):
            return Path(snapshot_download(source, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:  # the client's errors differ between its versions
        raise InputError(
            f"model {source!r} is not a folder, and cannot be downloaded from the hub: {error}"
        ) from error


def push(parts: ModelParts, repository: str, private: bool, token: str | None) -> str:
    """Upload a model's files as one commit; return its address.

    ``ModelHubMixin`` of huggingface_hub is not used: it writes folders in place, where ours are
    replaced as a whole or not at all, and loads neither URLs nor the authors' checkpoints.

    Raises:
        InputError: If the name is not OWNER/NAME, or the hub refuses.
    """
    if not _NAME.fullmatch(repository):
        raise InputError(f"repository {repository!r}; write it as OWNER/NAME")
    api = HfApi(token=token)
    check_hub(f"{repository} cannot be written", api.endpoint)
    with tempfile.TemporaryDirectory(prefix="milannotations-upload-") as folder:
        write(parts, Path(folder))
        try:
            api.create_repo(repository, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                allow_patterns=list(FILES),
                commit_message="Upload a MILAN model",
            )
        except Exception as error:  # the client's errors differ between its versions
            raise InputError(f"{repository} cannot be written: {error}") from error
    return str(commit.commit_url)
