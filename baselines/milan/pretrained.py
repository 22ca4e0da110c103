"""What a model is made of, and how it is saved, loaded and shared."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from baselines.features.encoder import PyramidEncoder
from baselines.milan.checkpoint import read_checkpoint
from baselines.milan.config import MilanConfig
from baselines.milan.hub import model_folder, push
from baselines.milan.model_folder import WEIGHTS, ModelParts, fit_state, read, write
from baselines.milan.published import CLIP_SUFFIX, published_folder, with_clip
from baselines.milan.vocabulary import Vocabulary
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.storage import atomic_folder

_Model = TypeVar("_Model", bound="PretrainedModel")


class PretrainedModel(nn.Module):
    """A model that folders, the hub and the authors' checkpoints hold.

    Args:
        config: The sizes and settings.
        vocabulary: The words.
        encoder: The encoder, if it is loaded already; else it is loaded when it is first needed.
    """

    def __init__(
        self, config: MilanConfig, vocabulary: Vocabulary, encoder: PyramidEncoder | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.vocabulary = vocabulary
        # Not a submodule: it is frozen, mostly stored elsewhere, and only needed for images.
        self._encoder: list[PyramidEncoder] = [encoder] if encoder else []

    @property
    def encoder(self) -> PyramidEncoder:
        """The encoder, loaded when it is first needed.

        Raises:
            InputError: If its weights are not those that the model was trained with.
        """
        if not self._encoder:
            encoder = PyramidEncoder(self.config.encoder)
            expected = self.config.encoder_identity
            if expected and str(encoder.identity()["weights"]) != expected:
                raise InputError(
                    f"the weights of encoder {self.config.encoder.model!r} are other than those "
                    "this model was trained with, so its features would have another meaning"
                )
            self._encoder.append(encoder)
        return self._encoder[0]

    @property
    def parts(self) -> ModelParts:
        """What a folder of the model holds."""
        encoder = self.encoder if self.config.encoder.weights == "included" else None
        return ModelParts(self.config, self.vocabulary, self.state_dict(), encoder)

    @classmethod
    def _from_parts(cls: type[_Model], parts: ModelParts, path: Path) -> _Model:
        # Without memory, until the file's own tensors are put in: sizes may be absurd.
        with torch.device("meta"):
            model = cls(parts.config, parts.vocabulary, parts.encoder)
        fit_state(model, parts, path)
        return model.eval()

    @classmethod
    def from_checkpoint(cls: type[_Model], path: Path, group: str | None = None) -> _Model:
        """Load a checkpoint of the original; see ``baselines.milan.checkpoint.read_checkpoint``."""
        return cls._from_parts(read_checkpoint(path, group), path)

    @classmethod
    def _convert(cls, path: Path, group: str | None, folder: Path) -> None:
        cls.from_checkpoint(path, group).save_pretrained(folder, overwrite=True)

    def save_pretrained(self, folder: Path | str, overwrite: bool = False) -> Path:
        """Write the model: ``config.json``, ``vocabulary.json``, ``model.safetensors``, a card.

        Raises:
            InputError: If the folder is not empty and ``overwrite`` is not set.
        """
        target = Path(folder)
        with atomic_folder(target, overwrite) as work:
            write(self.parts, work)
        return target

    @classmethod
    def from_pretrained(
        cls: type[_Model],
        source: str | Path,
        device: str | torch.device = "auto",
        revision: str | None = None,
        trust_encoder: bool = False,
    ) -> _Model:
        """Load a model from a folder, a repository of the hub, or one that the authors published.

        Args:
            source: A folder that ``save_pretrained`` wrote, ``OWNER/NAME``, or what ``pretrained``
                takes. With ``+clip`` appended, candidates are reranked by CLIP, with the
                original's settings.
            device: Where the model is put.
            revision: Of the repository.
            trust_encoder: Allow an encoder that is code of its own (``package.module:factory``, or
                of ``torch.hub``).

        Raises:
            InputError: If there is no such model, it is damaged or of another version, or its
                parts do not fit together.
        """
        name = str(source)
        clip = name.endswith(CLIP_SUFFIX) and not Path(name).is_dir()
        name = name.removesuffix(CLIP_SUFFIX) if clip else name
        folder = model_folder(name, cls._convert, revision)
        parts = read(folder, trust_encoder)
        parts = parts._replace(config=with_clip(parts.config)) if clip else parts
        model = cls._from_parts(parts, folder / WEIGHTS)
        return model.to(resolve_device(device) if isinstance(device, str) else device)

    @classmethod
    def pretrained(
        cls: type[_Model],
        name: str = "base",
        device: str | torch.device = "auto",
        force: bool = False,
    ) -> _Model:
        """Load a model that the authors published; it is downloaded first if need be.

        Args:
            name: ``base``, ``cls``, ``gen``, ``imagenet``, ``places365``, ``alexnet``,
                ``resnet152`` or ``biggan``, by what it was trained on; or the URL of a checkpoint.
                With ``+clip`` appended, candidates are reranked by CLIP.
            device: Where the model is put.
            force: Download and import it again, and accept another checksum.

        Raises:
            InputError: If there is no such name, or the file cannot be downloaded or imported.
        """
        published_folder(name, cls._convert, force)
        return cls.from_pretrained(name, device)

    def push_to_hub(self, repository: str, private: bool = False, token: str | None = None) -> str:
        """Upload the model to a repository of the hub; return the commit's address."""
        return push(self.parts, repository, private, token)
