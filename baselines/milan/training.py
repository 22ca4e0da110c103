"""Training of a MILAN: first the language model, then the decoder."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional

from baselines.features.encoder import PyramidEncoder
from baselines.milan.batches import batches, count_words, trimmed
from baselines.milan.config import FORMAT, MilanConfig, MilanSpec
from baselines.milan.decoding import Decoding, text_log_prob
from baselines.milan.examples import Examples, ExampleSubset, hold_out
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.model import Milan
from baselines.milan.model_folder import write
from baselines.milan.pmi_weight import PAPER_WEIGHT, choose_weight
from baselines.milan.prior import Prior, language_model_parts
from baselines.milan.stage import OnEpoch, Stage
from baselines.milan.training_config import TrainingConfig
from baselines.milan.validation import degenerate, greedy_descriptions, validation_bleu
from baselines.milan.vocabulary import Vocabulary
from milannotations.errors import InputError
from milannotations.notices import notify
from milannotations.progress import progress_bar
from milannotations.record import NeuronKey
from milannotations.storage import resumable_folder
from milannotations.threads import fixed_threads

_STATES = {"language model": "language_model.pt", "decoder": "decoder.pt"}
_HISTORY, _HELD_OUT = "training.json", "held_out.csv"


def train(
    learn: Examples,
    encoder: PyramidEncoder,
    folder: Path,
    *,
    options: TrainingConfig | None = None,
    spec: MilanSpec | None = None,
    validation: Examples | None = None,
    prior: Prior | None = None,
    device: torch.device | str = "cpu",
    facts: dict[str, Any] | None = None,
    overwrite: bool = False,
    on_epoch: OnEpoch = lambda name, numbers: None,
) -> Milan:
    """Train a model into a folder; an interrupted training is resumed.

    Args:
        learn: The training neurons.
        encoder: The encoder of their features.
        folder: Folder of the model.
        options: Settings of the training.
        spec: Architecture and search of the model.
        validation: Neurons for early stopping; default a part held out from ``learn``.
        prior: A trained language model, used unchanged and with its vocabulary in place of
            ``spec.language_model``.
        device: Where the model is trained.
        facts: Facts about the training data for the model card.
        overwrite: Replace the folder if it exists.
        on_epoch: Called after each epoch with the name of the stage and its numbers.

    Returns:
        The model with its best weights, in evaluation mode.

    Raises:
        InputError: If the folder exists, there are too few neurons, or the loss diverges.
    """
    options = options or TrainingConfig()
    options.check(device)
    if validation is None:
        rows, held = hold_out(len(learn.texts), options)
        training, held_out = learn.subset(rows), learn.subset(held)
    else:
        training = learn.subset(range(len(learn.texts)))
        held_out = validation.subset(range(len(validation.texts)))
    _, texts = training.pairs()
    spec = spec or MilanSpec()
    language_model = prior.config.language_model if prior else spec.language_model
    vocabulary = prior.vocabulary if prior else Vocabulary.of(texts, options.vocabulary)
    words_of = prior.config.vocabulary if prior else options.vocabulary
    decoding = spec.decoding
    choosing = decoding is None and language_model is not None and options.pmi is None
    if decoding is None:
        decoding = _usual_decoding(options, language_model)
    encoder_spec = encoder.spec
    if encoder_spec.weights not in ("published", "random"):
        # Weights from a file must be saved with the model.
        encoder_spec = encoder_spec.model_copy(update={"weights": "included"})
    config = MilanConfig(
        encoder=encoder_spec,
        encoder_identity=str(encoder.identity()["weights"]),
        features=learn.features.shape[2],
        k=learn.features.shape[1],
        decoder=spec.decoder,
        language_model=language_model,
        vocabulary=words_of,
        decoding=decoding,
        training={**(facts or {}), "neurons": len(training.rows), "descriptions": len(texts)},
        trained_on=learn.origin,
    )
    identity = {
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "options": options.model_dump(mode="json"),
        "texts": _digest([training.texts, held_out.texts]),
        "neurons": _digest([learn.keys, training.rows, held_out.examples.keys, held_out.rows]),
        "prior": _weights_digest(prior) if prior else "",
        "features": [_sample(subset.examples.features) for subset in (training, held_out)],
    }
    with (
        fixed_threads(options.threads),
        resumable_folder(folder, identity, overwrite) as work,
        progress_bar() as progress,
    ):
        torch.manual_seed(options.seed)
        model = Milan(config, vocabulary, encoder).to(device)
        if prior is not None and model.language_model is not None:
            model.language_model.load_state_dict(prior.model.state_dict())
        stages = _stages(
            model, training, held_out, options, work, progress, on_epoch, prior is not None
        )
        history: dict[str, Any] = {stage.name: stage.run() for stage in stages}
        descriptions = greedy_descriptions(model, held_out)
        warning = degenerate(descriptions, held_out.texts)
        choice = choose_weight(model, training, held_out, decoding) if choosing else None
        if choice is not None:
            decoding = decoding.model_copy(update={"pmi": choice.chosen})
            history["pmi"] = choice.model_dump(mode="json")
        trained = {
            **config.training,
            **_outcome(stages, held_out),
            "distinct_validation_descriptions": len(set(descriptions)),
            **_settings(options),
            "device": model.device.type,
            "torch": torch.__version__,
            "pmi_choice": choice.model_dump(mode="json") if choice else "fixed",
            **({"prior": _weights_digest(prior)} if prior else {}),
        }
        if warning:
            trained["warning"] = warning
        model.config = config.model_copy(update={"training": trained, "decoding": decoding})
        write(model.parts, work)
        (work / _HISTORY).write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")
        with (work / _HELD_OUT).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(NeuronKey._fields)
            writer.writerows(held_out.examples.keys[row] for row in held_out.rows)
        for name in _STATES.values():
            (work / name).unlink(missing_ok=True)
    if warning:
        notify(warning)
    return model.eval()


def _usual_decoding(options: TrainingConfig, prior: LanguageModelSpec | None) -> Decoding:
    if prior is None:
        if options.pmi:
            raise InputError(
                f"pmi={options.pmi:g} needs a language model; train one, or leave out pmi"
            )
        return Decoding(strategy="beam", pmi=0)
    return Decoding(pmi=PAPER_WEIGHT if options.pmi is None else options.pmi)


def _outcome(stages: Sequence[Stage], held: ExampleSubset) -> dict[str, Any]:
    """Return how many epochs were run, and the numbers of the best one."""
    *before, decoder = stages
    numbers = decoder.history[decoder.best_epoch - 1]
    return {
        "held_out_neurons": len(held.rows),
        "epochs": len(decoder.history),
        "best_epoch": decoder.best_epoch,
        **{f"{stage.name.replace(' ', '_')}_epochs": len(stage.history) for stage in before},
        **{name: round(value, 4) for name, value in numbers.items()},
    }


def _settings(options: TrainingConfig) -> dict[str, Any]:
    """Return the options under names that differ from those of results."""
    settings = options.model_dump(mode="json", exclude={"pmi"})
    return {("max_epochs" if name == "epochs" else name): v for name, v in settings.items()}


def decoder_loss(model: Milan, features: Tensor, words: Tensor, regularization: float) -> Tensor:
    """Return the mean negative log probability of a word, and the doubly stochastic term.

    Args:
        model: The model, of which only the decoder is used.
        features: (descriptions, k, features).
        words: Descriptions that begin with the start, int64 (descriptions, tokens).
        regularization: Weight of the second term, the mean of (1 − Σ attention)² over exemplars.
    """
    logs, attention = model.decoder(features, words)
    targets = words[:, 1:]
    padding = model.vocabulary.pad
    loss = functional.nll_loss(logs.flatten(0, 1), targets.flatten(), ignore_index=padding)
    if regularization:
        # Without padding, as the length of other texts in the batch must not matter.
        received = (attention * (targets != padding)[:, :, None]).sum(1)
        loss = loss + regularization * ((1 - received) ** 2).mean()
    return loss


def _stages(
    model: Milan,
    learn: ExampleSubset,
    held: ExampleSubset,
    options: TrainingConfig,
    work: Path,
    progress: Progress,
    on_epoch: OnEpoch,
    has_prior: bool,
) -> list[Stage]:
    rows, texts = learn.pairs()
    held_rows, held_texts = held.pairs()
    words = model.vocabulary.encode(texts, options.longest)
    held_words = model.vocabulary.encode(held_texts, options.longest)
    device = model.device
    at, held_at = torch.tensor(rows), torch.tensor(held_rows)

    def stage(name: str, size: int, **parts: Any) -> Stage:
        task = progress.add_task(
            f"Training the {name}", total=options.epochs * -(-len(rows) // size)
        )

        def after(stage_name: str, numbers: dict[str, float]) -> None:
            shown = " ".join(f"{n.replace('validation_', '')} {v:.3g}" for n, v in numbers.items())
            progress.update(task, description=f"Training the {name}: {shown}")
            on_epoch(stage_name, numbers)

        return Stage(
            name=name,
            options=options,
            path=work / _STATES[name],
            on_epoch=after,
            on_batch=lambda: progress.advance(task),
            batches=lambda order: batches(len(rows), size, order),
            **parts,
        )

    def look(batch: Tensor, trim: Tensor) -> Tensor:
        return trimmed(trim[batch], model.vocabulary.pad).to(device)

    def loss_of_decoder(batch: Tensor) -> Tensor:
        features = learn.examples.features[at[batch]]
        if options.resample:
            k = features.shape[1]
            drawn = torch.randint(k, (len(batch), k))
            features = features[torch.arange(len(batch))[:, None], drawn]
        features = features.to(device)
        return decoder_loss(model, features, look(batch, words), options.regularization)

    def evaluate_decoder() -> dict[str, float]:
        total = 0.0
        for batch in batches(len(held_rows), options.batch_size):
            features = held.examples.features[held_at[batch]].to(device)
            tokens = look(batch, held_words)
            total -= float(text_log_prob(model.decoder, model.vocabulary, features, tokens).sum())
        bleu = validation_bleu(model, held)
        loss = total / count_words(held_words, model.vocabulary.pad)
        return {"validation_loss": loss, "validation_bleu": bleu}

    def rank_decoder(numbers: Mapping[str, float]) -> tuple[float, ...]:
        loss = -numbers["validation_loss"]
        # BLEU is 0 until four consecutive words are right, and often tied.
        return (numbers["validation_bleu"], loss) if options.stop_on == "bleu" else (loss,)

    stages = []
    if model.language_model is not None and not has_prior:
        size = options.language_model_batch_size
        stages.append(
            stage(
                "language model",
                size,
                **language_model_parts(
                    model.language_model, model.vocabulary, words, held_words, size, device
                ),
            )
        )
    stages.append(
        stage(
            "decoder",
            options.batch_size,
            module=model.decoder,
            loss=loss_of_decoder,
            evaluate=evaluate_decoder,
            rank=rank_decoder,
        )
    )
    return stages


def _sample(features: Tensor) -> str:
    """Return a hash of some of the features, as reading a whole mapped file would take long."""
    return hashlib.sha256(features[::17, 0].numpy().tobytes()).hexdigest()[:16]


def _weights_digest(prior: Prior) -> str:
    tensors = [v.detach().cpu().numpy().tobytes() for v in prior.model.state_dict().values()]
    return hashlib.sha256(b"".join(tensors)).hexdigest()[:16]


def _digest(plain: Iterable[object]) -> str:
    return hashlib.sha256(json.dumps(list(plain)).encode()).hexdigest()[:16]
