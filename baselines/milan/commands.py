"""``milannotations train``, ``import-checkpoint`` and ``push-model``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.device import DEVICE_HELP

app = typer.Typer(add_completion=False)
import_app = typer.Typer(add_completion=False)
language_model_app = typer.Typer(add_completion=False)
push_app = typer.Typer(add_completion=False)


@app.command()
def train(
    out: Annotated[Path, typer.Option(help="folder to write the model to")],
    data: Annotated[
        str, typer.Option(help="demo, a config or group, or a dataset folder")
    ] = "demo",
    split: Annotated[
        str | None, typer.Option(help="split to learn from; default train for demo, else the only")
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(help="dataset for early stopping; default part of --data is held out"),
    ] = None,
    validation_split: Annotated[str | None, typer.Option(help="its split")] = None,
    encoder: Annotated[
        str,
        typer.Option(
            help="network whose features are described: alexnet, resnet18, resnet50, resnet101, "
            "efficientnet_lite0, or any model that build takes, with --layers"
        ),
    ] = "resnet101",
    layers: Annotated[
        list[str] | None,
        typer.Option(help="its layers or patterns of them, comma-separated; repeatable"),
    ] = None,
    weights: Annotated[str, typer.Option(help="published, random, or a file")] = "published",
    masks: Annotated[
        str | None,
        typer.Option(
            help="bilinear (MILAN's), area, or none to ignore masks; default the encoder's"
        ),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="how the model shall search; as milan, no-pmi, greedy, beam")
    ] = None,
    language_model: Annotated[
        bool, typer.Option("--language-model/--no-language-model", help="without, there is no PMI")
    ] = True,
    prior: Annotated[
        Path | None, typer.Option(help="folder of a language model that is trained already")
    ] = None,
    hidden: Annotated[int, typer.Option(help="length of the states of both LSTMs")] = 512,
    embedding: Annotated[int, typer.Option(help="length of word embeddings")] = 128,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE, repeatable: batch_size, language_model_batch_size, epochs, "
            "patience, hold_out, stop_on, pmi, learning_rate, weight_decay, regularization, "
            "longest, resample, min_count, lemmatize"
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16 or float16 (mixed)")
    ] = "float32",
    seed: Annotated[int, typer.Option(help="of the split, weights, order and dropout")] = 0,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
    batch_size: Annotated[
        int, typer.Option(min=1, help="images per forward pass of the encoder")
    ] = 32,
    work: Annotated[
        Path | None, typer.Option(help="folder that keeps features; default in the cache")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="folder for TensorBoard (extra: tensorboard)")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace the folder of --out")] = False,
) -> None:
    """Train a MILAN on annotated neurons; run it again to go on after an interruption."""
    from baselines.features.encoder import PyramidEncoder, encoder_spec
    from baselines.milan.config import MilanSpec
    from baselines.milan.decoder import DecoderSpec
    from baselines.milan.describer import named_variant
    from baselines.milan.examples import examples_of
    from baselines.milan.language_model import LanguageModelSpec
    from baselines.milan.pmi_weight import WeightChoice
    from baselines.milan.prior import Prior
    from baselines.milan.tensorboard import epoch_writer
    from baselines.milan.training import train as run
    from baselines.milan.training_config import TrainingConfig
    from milannotations.device import resolve_device
    from milannotations.errors import InputError
    from milannotations.loading import load_split
    from milannotations.options import checked, read_options, split_names
    from milannotations.progress import silence_libraries
    from milannotations.storage import check_target
    from milannotations.terminal import Console

    silence_libraries()
    check_target(out, overwrite)
    given = {**read_options(option or []), "precision": precision, "seed": seed}
    options = checked(TrainingConfig, given, "train")
    decoding = named_variant(variant) if variant else None
    if decoding is not None and options.pmi is not None:
        raise InputError(f"variant {variant!r} and option pmi both set λ; leave out one of them")
    if decoding is not None and decoding.pmi and not language_model:
        raise InputError(f"variant {variant!r} needs a language model; take no-pmi, greedy or beam")
    processor = resolve_device(device)
    options.check(processor)
    if prior is not None and not language_model:
        raise InputError("--prior is a language model, and --no-language-model trains none")
    ready = Prior.from_pretrained(prior, processor) if prior else None
    sizes = {"hidden": hidden, "embedding": embedding}
    decoder, language = (
        checked(DecoderSpec, sizes, "train"),
        checked(LanguageModelSpec, sizes, "train"),
    )
    changes = {"weights": weights, **({"masks": masks} if masks else {})}
    names = split_names(layers)
    spec = encoder_spec(encoder, names, changes)
    learned = load_split(data, split or ("train" if data == "demo" else None))
    held = load_split(validation, validation_split) if validation else None
    console = Console(markup=False, highlight=False, soft_wrap=True)
    with epoch_writer(tensorboard, console.print) as on_epoch:
        network = PyramidEncoder(spec)
        learn = examples_of(network, learned, processor, batch_size, work)
        check = examples_of(network, held, processor, batch_size, work) if held else None
        model = run(
            learn, network, out,
            options=options,
            spec=MilanSpec(
                decoder=decoder, language_model=language if language_model else None,
                decoding=decoding,
            ),
            validation=check, device=processor, prior=ready, overwrite=overwrite,
            on_epoch=on_epoch,
            facts={"data": Path(data).name + (f", split {split}" if split else "")},
        )  # fmt: skip
    facts = model.config.training
    if isinstance(facts["pmi_choice"], dict):
        choice = WeightChoice.model_validate(facts["pmi_choice"])
        console.print(f"λ = {choice.chosen:g}: {choice.reason}")
    console.print(
        f"Model: {out.resolve()} ({facts['neurons']} neurons, {facts['epochs']} epochs; epoch "
        f"{facts['best_epoch']} is kept: validation BLEU {facts['validation_bleu']}, loss "
        f"{facts['validation_loss']} nats a word; λ = {model.config.decoding.pmi:g})"
    )


@language_model_app.command()
def train_language_model(
    out: Annotated[Path, typer.Option(help="folder to write the language model to")],
    data: Annotated[
        str,
        typer.Option(help="demo, a config or group, a dataset folder, or a table of annotations"),
    ] = "demo",
    split: Annotated[
        str | None, typer.Option(help="split to learn from; default train for demo, else the only")
    ] = None,
    hidden: Annotated[int, typer.Option(help="length of the LSTM's states")] = 512,
    embedding: Annotated[int, typer.Option(help="length of word embeddings")] = 128,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE, repeatable: language_model_batch_size, epochs, patience, hold_out, "
            "learning_rate, weight_decay, longest, min_count, lemmatize"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="of the split, weights, order and dropout")] = 0,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
    overwrite: Annotated[bool, typer.Option(help="replace the folder of --out")] = False,
) -> None:
    """Train a language model on annotations alone, for `train --prior`."""
    from baselines.milan.language_model import LanguageModelSpec
    from baselines.milan.prior import train_prior
    from baselines.milan.tensorboard import epoch_writer
    from baselines.milan.training_config import TrainingConfig
    from milannotations.device import resolve_device
    from milannotations.loading import load_split
    from milannotations.options import checked, read_options
    from milannotations.progress import silence_libraries
    from milannotations.storage import check_target
    from milannotations.terminal import Console

    silence_libraries()
    check_target(out, overwrite)
    options = checked(TrainingConfig, {**read_options(option or []), "seed": seed}, "train")
    spec = checked(LanguageModelSpec, {"hidden": hidden, "embedding": embedding}, "train")
    neurons = load_split(data, split or ("train" if data == "demo" else None))
    texts_of_neurons = [[t for t in texts if t.strip()] for texts in neurons["annotations"]]
    console = Console(markup=False, highlight=False, soft_wrap=True)
    with epoch_writer(None, console.print) as on_epoch:
        prior = train_prior(
            [texts for texts in texts_of_neurons if texts], out, options=options, spec=spec,
            device=resolve_device(device), facts={"data": Path(data).name}, overwrite=overwrite,
            on_epoch=on_epoch,
        )  # fmt: skip
    facts = prior.config.training
    console.print(
        f"Language model: {out.resolve()} ({len(prior.vocabulary.words)} words, {facts['epochs']} "
        f"epochs; epoch {facts['best_epoch']} is kept: validation loss {facts['validation_loss']} "
        "nats a word)"
    )


@import_app.command()
def import_checkpoint(
    checkpoint: Annotated[
        str,
        typer.Argument(help="the authors' file, as milan-base.pth; its name, as base; or a URL"),
    ],
    out: Annotated[
        Path | None, typer.Option(help="folder to write; default the file's name without .pth")
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(help="group of releases it was trained on; default that of its file's name"),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace the folder of --out")] = False,
) -> None:
    """Turn a checkpoint of the original MILAN into a model of this project."""
    from baselines.milan.checkpoint import PUBLISHED, group_of
    from baselines.milan.model import Milan
    from baselines.milan.published import checkpoint_file
    from milannotations.catalog.releases import members
    from milannotations.progress import silence_libraries
    from milannotations.storage import check_target

    silence_libraries()
    if trained_on is not None:
        members(trained_on)
    target = out or Path(Path(checkpoint).stem)
    check_target(target, overwrite)
    group = trained_on or (checkpoint if checkpoint in PUBLISHED else None)
    path = checkpoint_file(checkpoint)
    model = Milan.from_checkpoint(path, group or group_of(Path(checkpoint).name))
    model.save_pretrained(target, overwrite)
    typer.echo(
        f"Model: {target.resolve()} ({len(model.vocabulary.words)} words, encoder "
        f"{model.config.encoder.model})"
    )


@push_app.command()
def push_model(
    model: Annotated[Path, typer.Argument(help="folder of a model")],
    repo: Annotated[str, typer.Option(metavar="USER/NAME", help="model repository on the hub")],
    private: Annotated[
        bool, typer.Option("--private/--public", help="whether a new repository is private")
    ] = True,
) -> None:
    """Upload a model to the hub, with its card."""
    from baselines.milan.model import Milan
    from milannotations.progress import silence_libraries

    silence_libraries()
    typer.echo(Milan.from_pretrained(model, "cpu").push_to_hub(repo, private))
