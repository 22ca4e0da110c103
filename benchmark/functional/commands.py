"""``milannotations functional``: do descriptions predict activations?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from milannotations.device import DEVICE_HELP, resolve_device
from milannotations.errors import InputError
from milannotations.progress import silence_libraries
from milannotations.storage import check_outputs
from milannotations.terminal import Console

app = typer.Typer(add_completion=False)


@app.command()
def functional(
    descriptions: Annotated[
        list[Path],
        typer.Argument(help="CSV with model, dataset, layer, unit, description; several"),
    ],
    images: Annotated[
        str,
        typer.Option(help="folder of images, or worlds:SEED:SCENES for the synthetic neurons"),
    ],
    clip: Annotated[
        str | None, typer.Option(help="CLIP or SigLIP model that looks at the images")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="the network; default the one that --neurons records")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="published, random, or a file; default as recorded")
    ] = None,
    neurons: Annotated[
        str | None,
        typer.Option(help="the data set that is described, which records its network"),
    ] = None,
    share: Annotated[
        float, typer.Option(help="share of images that count as showing a description")
    ] = 0.05,
    out: Annotated[Path | None, typer.Option(help="folder for results as JSON and Parquet")] = None,
    resamples: Annotated[int, typer.Option(min=1000, help="bootstrap resamples")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="seed of bootstrap and shuffling")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="images per forward pass")] = 32,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "auto",
) -> None:
    """Score descriptions without annotations: do they predict what activates the neuron?"""
    from benchmark.functional.metrics import FUNCTIONAL
    from benchmark.functional.probing import probe_neurons
    from benchmark.harness import fixed_predictions, make_task, score
    from benchmark.result import Method
    from benchmark.score_files import method_name, within_layers
    from benchmark.score_tables import terminal_table
    from milannotations.annotations import read_descriptions, to_dataset
    from milannotations.loading import load_split

    silence_libraries()
    check_outputs(out)
    processor = resolve_device(device)
    said = {method_name(path): read_descriptions(path) for path in descriptions}
    first = next(iter(said.values()))
    for name, found in said.items():
        if set(found) != set(first):
            raise InputError(f"{name} describes other neurons than {next(iter(said))}")
    task = make_task("functional", to_dataset({neuron: [] for neuron in first}))
    methods, predictions = {}, {}
    for name, found in said.items():
        texts = [found[key] for key in task.keys]
        for key, title, kind, given in (
            (name, name, "method", texts),
            (f"{name[:55]}-shuffled", f"{name}, dealt out to the wrong neurons", "control",
             within_layers(task, texts, seed)),
        ):  # fmt: skip
            methods[key] = Method(name=key, title=title, kind=kind)  # type: ignore[arg-type]
            predictions[key, task.name] = fixed_predictions(task, given)
    described = load_split(neurons) if neurons is not None else None
    probe = probe_neurons(
        task.keys, images, model=model, weights=weights, neurons=described, clip=clip, share=share,
        device=processor, batch_size=batch_size,
    )  # fmt: skip
    scored = score(
        methods, [task], predictions, [metric(probe) for metric in FUNCTIONAL], resamples, seed
    )
    results = [one.result for one in scored.values()]
    if out is not None:
        for one in scored.values():
            one.save(out)
    Console().print(terminal_table(results, task.name, f"Predicting responses to {images}"))
    if out is not None:
        Console().print(f"Results: {out}", highlight=False, markup=False)
