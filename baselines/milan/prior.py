"""The language model alone: trained on descriptions, saved, and used to train a MILAN.

It needs no exemplars, so annotations without images are enough, such as a table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from baselines.milan.batches import batches, count_words, trimmed
from baselines.milan.decoding import language_model_log_prob
from baselines.milan.examples import hold_out
from baselines.milan.language_model import LanguageModel, LanguageModelSpec
from baselines.milan.model_folder import CONFIG, VOCABULARY, WEIGHTS, read_json, read_vocabulary
from baselines.milan.stage import OnEpoch, Stage
from baselines.milan.training_config import TrainingConfig
from baselines.milan.vocabulary import Vocabulary, VocabularySpec
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.options import checked
from milannotations.progress import progress_bar
from milannotations.storage import atomic_path, resumable_folder
from milannotations.tensors import check_network, read_safetensors
from milannotations.threads import fixed_threads

_KIND, _FORMAT = "milan language model", 1


class PriorConfig(BaseModel):
    """Configuration of a language model, which ``config.json`` holds.

    Attributes:
        kind: Distinguishes the folder from that of a whole model.
        format: Version of the folder's format.
        language_model: Sizes of the language model.
        vocabulary: How the words were chosen.
        training: How it was trained, and on what, for people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = _KIND
    format: int = _FORMAT
    language_model: LanguageModelSpec = LanguageModelSpec()
    vocabulary: VocabularySpec = VocabularySpec()
    training: dict[str, Any] = {}


class Prior:
    """p(d): a language model and its vocabulary.

    Args:
        config: The sizes.
        vocabulary: The words.
        model: The language model, in evaluation mode.
    """

    def __init__(self, config: PriorConfig, vocabulary: Vocabulary, model: LanguageModel) -> None:
        self.config, self.vocabulary, self.model = config, vocabulary, model

    @torch.inference_mode()
    def log_prob(self, texts: Sequence[str]) -> Tensor:
        """Return log p(d) of texts in nats, (texts,)."""
        device = self.model.output.weight.device
        words = self.vocabulary.encode(texts).to(device)
        return language_model_log_prob(self.model, words[:, None, 1:], self.vocabulary)[:, 0]

    def write(self, folder: Path) -> None:
        """Write the files into an existing folder."""
        plain = self.config.model_dump(mode="json")
        (folder / CONFIG).write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        words = json.dumps({"words": self.vocabulary.words}, indent=1, ensure_ascii=False)
        (folder / VOCABULARY).write_text(words + "\n", encoding="utf-8")
        state = {n: v.detach().cpu().contiguous() for n, v in self.model.state_dict().items()}
        with atomic_path(folder / WEIGHTS, alone=True) as path:
            save_file(state, path)

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str | torch.device = "auto") -> Prior:
        """Load what ``train_prior`` wrote.

        Raises:
            InputError: If the folder holds no language model, or a file is missing or damaged.
        """
        path = Path(folder)
        plain = read_json(path / CONFIG)
        if not isinstance(plain, dict) or plain.get("kind") != _KIND:
            raise InputError(
                f"{path} holds no language model; train one with `milannotations "
                "train-language-model`"
            )
        config = checked(PriorConfig, plain, str(path / CONFIG))
        vocabulary = read_vocabulary(path / VOCABULARY, config.vocabulary.lemmatize)
        state = {n: tensor.float() for n, tensor in read_safetensors(path / WEIGHTS).items()}
        # Without memory, until the file's own tensors are put in: sizes may be absurd.
        with torch.device("meta"):
            model = LanguageModel(len(vocabulary), vocabulary.pad, config.language_model)
        try:
            model.load_state_dict(state, assign=True)
        except RuntimeError as error:
            line = " ".join(str(error).split())[:200]
            raise InputError(f"{path / WEIGHTS} does not fit {CONFIG}: {line}") from error
        check_network(model, str(path / WEIGHTS))
        chosen = resolve_device(device) if isinstance(device, str) else device
        return cls(config, vocabulary, model.to(chosen).eval())


def train_prior(
    texts: Sequence[Sequence[str]],
    folder: Path,
    *,
    options: TrainingConfig | None = None,
    spec: LanguageModelSpec | None = None,
    device: torch.device | str = "cpu",
    facts: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    on_epoch: OnEpoch = lambda name, numbers: None,
) -> Prior:
    """Train a language model into a folder; an interrupted training is resumed.

    Args:
        texts: The annotations of each neuron. ``train`` holds out the same neurons, given the same
            options.
        folder: Folder of the language model.
        options: Settings of the training; those of the decoder are ignored.
        spec: Sizes of the language model.
        device: Where it is trained.
        facts: Facts about the training data, for people.
        overwrite: Replace the folder if it exists.
        on_epoch: Called after each epoch with the name of the stage and its numbers.

    Raises:
        InputError: If the folder exists, there are too few neurons, or the loss diverges.
    """
    options, spec = options or TrainingConfig(), spec or LanguageModelSpec()
    options.check(device)
    taught, held = hold_out(len(texts), options)
    learn, check = ([t for row in rows for t in texts[row]] for rows in (taught, held))
    vocabulary = Vocabulary.of(learn, options.vocabulary)
    identity = {
        "options": options.model_dump(mode="json"),
        "texts": [learn, check],
        "spec": spec.model_dump(mode="json"),
    }
    with (
        fixed_threads(options.threads),
        resumable_folder(folder, identity, overwrite) as work,
        progress_bar() as progress,
    ):
        torch.manual_seed(options.seed)
        model = LanguageModel(len(vocabulary), vocabulary.pad, spec).to(device)
        size = options.language_model_batch_size
        task = progress.add_task(
            "Training the language model", total=options.epochs * -(-len(learn) // size)
        )
        stage = Stage(
            name="language model",
            options=options,
            path=work / "language_model.pt",
            on_epoch=on_epoch,
            on_batch=lambda: progress.advance(task),
            batches=lambda order: batches(len(learn), size, order),
            **language_model_parts(
                model,
                vocabulary,
                vocabulary.encode(learn, options.longest),
                vocabulary.encode(check, options.longest),
                size,
                torch.device(device),
            ),
        )
        history = stage.run()
        training = {
            **(facts or {}),
            "neurons": len(taught),
            "descriptions": len(learn),
            "held_out_neurons": len(held),
            "epochs": len(history),
            "best_epoch": stage.best_epoch,
            "validation_loss": round(history[stage.best_epoch - 1]["validation_loss"], 4),
            "seed": options.seed,
            "threads": options.threads,
        }
        config = PriorConfig(language_model=spec, vocabulary=options.vocabulary, training=training)
        prior = Prior(config, vocabulary, model.eval())
        prior.write(work)
        (work / "language_model.pt").unlink(missing_ok=True)
    return prior


def language_model_parts(
    model: LanguageModel,
    vocabulary: Vocabulary,
    words: Tensor,
    held_words: Tensor,
    batch_size: int,
    device: torch.device,
) -> dict[str, Any]:
    """Return the fields of a ``Stage`` that trains a language model: module, loss, evaluate, rank.

    Args:
        model: The model.
        vocabulary: Its words.
        words: Descriptions for training, int64 (descriptions, tokens).
        held_words: Held-out descriptions, likewise.
        batch_size: Held-out descriptions per batch.
        device: Where the model is.
    """

    def look(batch: Tensor, texts: Tensor) -> Tensor:
        return trimmed(texts[batch], vocabulary.pad).to(device)

    def loss(batch: Tensor) -> Tensor:
        tokens = look(batch, words)
        return functional.nll_loss(
            model(tokens).flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=vocabulary.pad
        )

    def evaluate() -> dict[str, float]:
        total = 0.0
        for batch in batches(len(held_words), batch_size):
            tokens = look(batch, held_words)[:, None, 1:]
            total -= float(language_model_log_prob(model, tokens, vocabulary).sum())
        return {"validation_loss": total / count_words(held_words, vocabulary.pad)}

    rank: Callable[[Mapping[str, float]], tuple[float, ...]] = lambda n: (-n["validation_loss"],)  # noqa: E731
    return {"module": model, "loss": loss, "evaluate": evaluate, "rank": rank}
