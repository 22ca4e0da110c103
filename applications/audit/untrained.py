"""Controls with random weights: the same architecture, whose units have learned nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from applications.network_descriptions import DescribedNetwork
from milannotations.catalog.entry import weights_seed
from milannotations.catalog.models import LoadedModel, load_model
from milannotations.errors import InputError
from milannotations.hook_points.hook_point import HookPoint
from milannotations.hook_points.matching import find_hook_points

# `--weights random` has seed 0; a network must not be its own control.
FIRST_SEED = 1


def untrained(
    loaded: LoadedModel,
    points: Mapping[str, HookPoint],
    inputs: Tensor,
    seed: int,
    spec: str | None = None,
) -> tuple[LoadedModel, dict[str, HookPoint]]:
    """Return a network of the same architecture with random weights.

    If ``spec`` names a model whose layers have the same numbers of units, that model initializes
    itself. Otherwise the network is copied, and each module of the copy is initialized again by
    PyTorch's defaults.

    Args:
        loaded: The network, on its device.
        points: Its layers.
        inputs: A batch of inputs, on the same device.
        seed: Seed of the weights.
        spec: The model that the network was loaded from; see ``load_model``.

    Returns:
        The new network, in evaluation mode on the same device, and its layers.

    Raises:
        InputError: If a module's parameters cannot be initialized; names the module.
    """
    module = _by_name(spec, points, inputs, loaded, seed) if spec else None
    if module is None:
        module = initialized_again(loaded.module, seed)
    control = replace(loaded, module=module.eval(), dataset=f"random-{seed}")
    return control, find_hook_points(control.module, list(points), (inputs,), loaded.layouts)


def untrained_networks(
    described: DescribedNetwork,
    spec: str | None,
    count: int,
    describe: Callable[[LoadedModel, dict[str, HookPoint]], DescribedNetwork],
) -> tuple[list[DescribedNetwork], str]:
    """Describe networks with random weights, of the architecture of a described network.

    Args:
        described: The described network.
        spec: The model that it was loaded from; None if it has no name.
        count: Number of networks.
        describe: Describes a network in the same way.

    Returns:
        The networks, and the reason if there are none, else an empty text.
    """
    if not count:
        return [], ""
    if described.images is None:
        return [], "its exemplars were not built here"
    size = range(min(2, len(described.images)))
    inputs = torch.stack([described.images.inputs(i) for i in size]).to(described.device)
    controls = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        try:
            network, points = untrained(described.loaded, described.points, inputs, seed, spec)
        except InputError as error:
            return [], str(error)
        controls.append(describe(network, points))
    return controls, ""


def _by_name(
    spec: str, points: Mapping[str, HookPoint], inputs: Tensor, loaded: LoadedModel, seed: int
) -> nn.Module | None:
    kind, _, name = spec.partition(":")
    if name and kind not in ("torchvision", "timm", "hf"):
        return None  # factories and hub entries may load weights whatever is asked for
    try:
        with weights_seed(seed):
            module = load_model(spec, "random").module.eval().to(inputs.device)
        module_sites = find_hook_points(module, list(points), (inputs,), loaded.layouts)
    except InputError:
        return None
    same = all(module_sites[layer].units == point.units for layer, point in points.items())
    return module if same else None


def initialized_again(module: nn.Module, seed: int) -> nn.Module:
    """Copy a network, and initialize every module of the copy again.

    Args:
        module: The network.
        seed: Seed of the weights.

    Raises:
        InputError: If a module has parameters of its own and no ``reset_parameters``.
    """
    network = copy.deepcopy(module)
    devices: Sequence[torch.device] = sorted(
        {p.device for p in network.parameters() if p.device.type == "cuda"}, key=str
    )
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        for name, submodule in network.named_modules():
            reset = getattr(
                submodule, "reset_parameters", getattr(submodule, "_reset_parameters", None)
            )
            if callable(reset):
                reset()
            elif next(submodule.parameters(recurse=False), None) is not None:
                raise InputError(
                    f"module {name!r} ({type(submodule).__name__}) has parameters and no "
                    "reset_parameters(), so its weights cannot be made random"
                )
    return network
