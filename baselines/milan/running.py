"""Trains, converts and uploads models for the command line."""

from __future__ import annotations

from pathlib import Path

import typer
from datasets import Dataset

from baselines.features.encoder import EncoderSpec, PyramidEncoder, encoder_spec
from baselines.milan.checkpoint import PUBLISHED, group_of
from baselines.milan.command_config import (
    ImportCheckpointConfig,
    PushModelConfig,
    TrainingDataConfig,
    TrainMilanConfig,
    TrainPriorConfig,
)
from baselines.milan.config import MilanSpec
from baselines.milan.decoding import Decoding
from baselines.milan.describer import named_variant
from baselines.milan.examples import examples_of
from baselines.milan.model import Milan
from baselines.milan.pmi_weight import WeightChoice
from baselines.milan.prior import Prior, train_prior
from baselines.milan.published import checkpoint_file
from baselines.milan.specs import DecoderSpec, LanguageModelSpec
from baselines.milan.tensorboard import epoch_writer
from baselines.milan.training import train
from baselines.milan.training_config import TrainingConfig
from milannotations.catalog.releases import members
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.loading import load_split
from milannotations.options import checked
from milannotations.storage import check_target
from milannotations.terminal import Console


def train_milan(config: TrainMilanConfig) -> Milan:
    """Train a MILAN on annotated neurons, and print a summary.

    Raises:
        InputError: If options contradict each other, the neurons cannot be used, or the loss
            diverges.
    """
    check_target(config.out, config.overwrite)
    given = {**config.training.model_dump(), **config.option}
    options = checked(TrainingConfig, given, "train")
    decoding = _decoding(config, options)
    device = resolve_device(config.device)
    options.check(device)
    if config.prior is not None and not config.language_model:
        raise InputError("--prior is a language model, and --no-language-model trains none")
    prior = Prior.from_pretrained(config.prior, device) if config.prior else None
    sizes = config.sizes.model_dump()
    architecture = MilanSpec(
        decoder=DecoderSpec(**sizes),
        language_model=LanguageModelSpec(**sizes) if config.language_model else None,
        decoding=decoding,
    )
    encoder = _encoder(config)
    learned = _neurons(config)
    held = load_split(config.validation, config.validation_split) if config.validation else None
    console = Console(markup=False, highlight=False, soft_wrap=True)
    with epoch_writer(config.tensorboard, console.print) as on_epoch:
        network = PyramidEncoder(encoder)
        learn = examples_of(network, learned, device, config.batch_size, config.work)
        check = examples_of(network, held, device, config.batch_size, config.work) if held else None
        data = Path(config.data).name + (f", split {config.split}" if config.split else "")
        model = train(
            learn,
            network,
            config.out,
            options=options,
            spec=architecture,
            validation=check,
            device=device,
            prior=prior,
            overwrite=config.overwrite,
            on_epoch=on_epoch,
            facts={"data": data},
        )
    facts = model.config.training
    if isinstance(facts["pmi_choice"], dict):
        choice = WeightChoice.model_validate(facts["pmi_choice"])
        console.print(f"λ = {choice.chosen:g}: {choice.reason}")
    console.print(
        f"Model: {config.out.resolve()} ({facts['neurons']} neurons, {facts['epochs']} epochs; "
        f"epoch {facts['best_epoch']} is kept: validation BLEU {facts['validation_bleu']}, loss "
        f"{facts['validation_loss']} nats a word; λ = {model.config.decoding.pmi:g})"
    )
    return model


def _decoding(config: TrainMilanConfig, options: TrainingConfig) -> Decoding | None:
    """Return the search of the trained model, if one is named."""
    if config.variant is None:
        return None
    decoding = named_variant(config.variant)
    if options.pmi is not None:
        raise InputError(
            f"variant {config.variant!r} and option pmi both set λ; leave out one of them"
        )
    if decoding.pmi and not config.language_model:
        raise InputError(
            f"variant {config.variant!r} needs a language model; take no-pmi, greedy or beam"
        )
    return decoding


def _encoder(config: TrainMilanConfig) -> EncoderSpec:
    changes = {"weights": config.weights, **({"masks": config.masks} if config.masks else {})}
    return encoder_spec(config.encoder, config.layers, changes)


def _neurons(config: TrainingDataConfig) -> Dataset:
    return load_split(config.data, config.split or ("train" if config.data == "demo" else None))


def train_language_model(config: TrainPriorConfig) -> Prior:
    """Train a language model on annotations alone, and print a summary.

    Raises:
        InputError: If the annotations cannot be used, or the loss diverges.
    """
    check_target(config.out, config.overwrite)
    given = {**config.training.model_dump(), **config.option}
    options = checked(TrainingConfig, given, "train")
    annotations = [[t for t in texts if t.strip()] for texts in _neurons(config)["annotations"]]
    console = Console(markup=False, highlight=False, soft_wrap=True)
    with epoch_writer(None, console.print) as on_epoch:
        prior = train_prior(
            [texts for texts in annotations if texts],
            config.out,
            options=options,
            spec=LanguageModelSpec(**config.sizes.model_dump()),
            device=resolve_device(config.device),
            facts={"data": Path(config.data).name},
            overwrite=config.overwrite,
            on_epoch=on_epoch,
        )
    facts = prior.config.training
    console.print(
        f"Language model: {config.out.resolve()} ({len(prior.vocabulary.words)} words, "
        f"{facts['epochs']} epochs; epoch {facts['best_epoch']} is kept: validation loss "
        f"{facts['validation_loss']} nats a word)"
    )
    return prior


def convert_checkpoint(config: ImportCheckpointConfig) -> Milan:
    """Turn a checkpoint of the original MILAN into a model of this project.

    Raises:
        InputError: If there is no such checkpoint or group, or the file cannot be used.
    """
    if config.trained_on is not None:
        members(config.trained_on)
    name = config.checkpoint
    target = config.out or Path(Path(name).stem)
    check_target(target, config.overwrite)
    group = config.trained_on or (name if name in PUBLISHED else None)
    path = checkpoint_file(name)
    model = Milan.from_checkpoint(path, group or group_of(Path(name).name))
    model.save_pretrained(target, config.overwrite)
    typer.echo(
        f"Model: {target.resolve()} ({len(model.vocabulary.words)} words, encoder "
        f"{model.config.encoder.model})"
    )
    return model


def push_model(config: PushModelConfig) -> str:
    """Upload a model to the hub, with its card; return its address."""
    return Milan.from_pretrained(config.model, "cpu").push_to_hub(config.repo, config.private)
