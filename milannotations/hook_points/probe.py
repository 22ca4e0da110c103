"""A probe before the pass: how the layers' outputs are laid out, and which cannot be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from functools import partial

import torch
from torch import Tensor, nn

from milannotations.errors import InputError, did_you_mean, raised
from milannotations.hook_points.detect import detect_layouts, given_layout, settle
from milannotations.hook_points.hook_point import HookPoint, autoencoder_of, listed, to_maps
from milannotations.hook_points.hooks import HookedCall, attach
from milannotations.hook_points.in_place import ChangeWatch
from milannotations.hook_points.layer_spec import LayerSpec
from milannotations.hook_points.layout import Layout, UnusableError, shape_of
from milannotations.hook_points.locality import TokenOrders
from milannotations.hook_points.survey import Survey
from milannotations.inputs.options import HOW
from milannotations.rules import InPlace

# Relative difference of two passes (Euclidean norm) that rounding can explain.
_SAME = {torch.float16: 0.05, torch.bfloat16: 0.1}
_SAME_IN_FULL = 1e-2


class _Pass:
    """The layers' tensors in one forward pass."""

    def __init__(
        self,
        model: nn.Module,
        specs: Sequence[LayerSpec],
        inputs: tuple[Tensor, ...],
        in_place: InPlace = "before",
    ) -> None:
        self.calls = dict.fromkeys(specs, 0)
        self.tensors: dict[LayerSpec, Tensor] = {}
        self.problems: dict[LayerSpec, ValueError] = {}
        self.survey = Survey(model, inputs)
        self.changes = ChangeWatch(model) if in_place == "after" else None
        with ExitStack() as stack:
            for spec in specs:
                handle = attach(model, spec, partial(self._keep, spec))
                stack.callback(handle.remove)
            stack.enter_context(self.survey.watching())
            if self.changes:
                stack.enter_context(self.changes.watching())
            # Not inference_mode: models that keep tensors for later passes (positions, for example)
            # could not use them outside of it.
            stack.enter_context(torch.no_grad())
            model(*inputs)
        if self.changes:
            for spec in self.changes.changed_by:
                self.tensors[spec] = self.changes.value(spec).clone()

    def _keep(self, spec: LayerSpec, call: HookedCall) -> None:
        self.calls[spec] += 1
        try:
            tensor = call.tensor()
            # Cloned, as an in-place operation may follow.
            self.tensors[spec] = tensor.clone()
            if self.changes and not spec.is_input:
                self.changes.hold(spec, tensor)
        except ValueError as error:
            self.problems[spec] = error


def probe(
    model: nn.Module,
    layers: Sequence[str],
    inputs: tuple[Tensor, ...],
    layouts: Mapping[str, Layout] | None = None,
    autoencoders: Mapping[str, nn.Module] | None = None,
    in_place: InPlace = "before",
) -> dict[str, HookPoint]:
    """Run a batch and find how each layer's output becomes activation maps; see ``examine``.

    Raises:
        InputError: As ``examine``, and if layers cannot be used; the message lists all of them.
    """
    points, problems = examine(model, layers, inputs, layouts, autoencoders, in_place)
    if problems:
        raise refusal(problems)
    return points


def refusal(problems: Mapping[str, ValueError]) -> InputError:
    """Return an error with one line per layer on what is wrong with it."""
    lines = "\n".join(f"  {layer!r} {problem}" for layer, problem in problems.items())
    return InputError(f"no exemplars can be built for these layers:\n{lines}")


def examine(
    model: nn.Module,
    layers: Sequence[str],
    inputs: tuple[Tensor, ...],
    layouts: Mapping[str, Layout] | None = None,
    autoencoders: Mapping[str, nn.Module] | None = None,
    in_place: InPlace = "before",
) -> tuple[dict[str, HookPoint], dict[str, ValueError]]:
    """Run a batch and find how each layer's output becomes activation maps, or why it cannot.

    Outputs with two dimensions are one activation per image. With four dimensions, the module's
    type decides whether units come first or last, or else which of the two gives a map with the
    image's proportions. Tokens (three dimensions) are laid out on the grid of the patch embedding:
    that of the first convolution whose kernel equals its stride, or of the last one before there
    are tokens, or one of these merged two by two. Tokens beyond the grid are class and register
    tokens, which come first. The order in which tokens run over the grid is detected by changing
    regions of the image; see ``TokenOrders``.

    The batch is run a second time, together with as many darkened images: activations must be the
    same as in the first pass.

    Args:
        model: The model, in evaluation mode, on the device of ``inputs``.
        layers: Names from ``match_layers``.
        inputs: What the model is called with; a batch of any size.
        layouts: Layouts by layer pattern, where they are known; if several patterns match a layer,
            the last one counts.
        autoencoders: Autoencoders, by the name of the layer whose units they encode. They map
            (…, units) to (…, latents).
        in_place: Whether outputs that a later module changes in place (a ReLU, say) are read
            ``before`` or ``after`` that; inputs (``@in``) are always read as they are given.

    Returns:
        The layers that can be used, and what is wrong with the others: the layer is not run, or is
        run more than once, or its output cannot be laid out as maps; its activations are not
        finite, or depend on chance or on the other images of the batch.

    Raises:
        InputError: If modules are in training mode, or the model cannot run on these inputs.
    """
    autoencoders = autoencoders or {}
    layouts = layouts or {}
    specs = {layer: LayerSpec.parse(layer) for layer in layers}
    _check_patterns(model, layouts)
    first = _run(model, [*specs.values()], inputs, in_place)
    survey = first.survey
    if survey.in_training:
        raise InputError(
            f"these modules are in training mode: {listed(survey.in_training)}; call the model's "
            "eval() first, and if they stay so, theirs"
        )
    second = _run_with_others(model, [*specs.values()], inputs, in_place)
    points: dict[str, HookPoint] = {}
    problems: dict[str, ValueError] = {}
    orders = TokenOrders(model, [*specs.values()], inputs)
    for layer, spec in specs.items():
        try:
            tensor = _checked(spec, first, second)
            given = given_layout(spec, layouts)
            if given:
                layout = settle(given, tensor, survey)
            else:
                module = model.get_submodule(spec.module)
                layout = orders.settled(spec, detect_layouts(tensor, module, survey))
            _, units, height, width = _maps(spec, layout, tensor, autoencoders).shape
            changed_by = first.changes.changed_by.get(spec) if first.changes else None
            channels = layout.maps(tensor).shape[1] if spec.heads else units
            points[layer] = HookPoint(
                layer, units, height, width, layout, changed_by, unit_channels=channels // units
            )
        except ValueError as error:  # noqa: PERF203 - reports the problems of all layers at once
            problems[layer] = error
    return points, problems


def _check_patterns(model: nn.Module, layouts: Mapping[str, Layout]) -> None:
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    for pattern in layouts:
        module_pattern = LayerSpec.parse(pattern).module
        if not any(fnmatchcase(name, module_pattern) for name in names):
            hint = did_you_mean(module_pattern, names)
            raise InputError(f"a layout is given for {pattern!r}, but no module is so named{hint}")


def _run(
    model: nn.Module, specs: Sequence[LayerSpec], inputs: tuple[Tensor, ...], in_place: InPlace
) -> _Pass:
    try:
        return _Pass(model, specs, inputs, in_place)
    except InputError:
        raise
    except Exception as error:  # a model's own checks raise anything
        shapes = ", ".join(shape_of(tensor) for tensor in inputs)
        raise InputError(
            f"the model cannot run on inputs of shape {shapes}: {raised(error)}"
            f"{_advice(model, inputs[0])}"
        ) from error


def _advice(model: nn.Module, images: Tensor) -> str:
    """Return a hint on how to change the input, if a model was given images."""
    if images.ndim != 4:
        return ""
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    takes = first.in_channels if first is not None else images.shape[1]
    if takes != images.shape[1]:
        channels = "1 channel" if takes == 1 else f"{takes} channels"
        return f"; its first convolution takes {channels}, and {HOW}"
    return f"; {HOW}"


def _run_with_others(
    model: nn.Module, specs: Sequence[LayerSpec], inputs: tuple[Tensor, ...], in_place: InPlace
) -> _Pass:
    """Run the batch together with other images, or alone if memory does not suffice."""
    doubled = tuple(torch.cat([t, t * 0.5 if t.is_floating_point() else t]) for t in inputs)
    try:
        return _run(model, specs, doubled, in_place)
    except InputError as error:
        if "memory" not in str(error):
            raise
    return _run(model, specs, inputs, in_place)


def _checked(spec: LayerSpec, first: _Pass, second: _Pass) -> Tensor:
    """Return a layer's tensor, or raise a ValueError that says what is wrong with it."""
    model, batch = first.survey.model, first.survey.batch
    _check_calls(model, spec, first.calls[spec])
    if spec in first.problems:
        raise first.problems[spec]
    tensor, again = first.tensors[spec], second.tensors.get(spec)
    if tensor.ndim < 2 or len(tensor) != batch:
        images = "one image" if batch == 1 else f"{batch} images"
        raise UnusableError(
            "not one output per image",
            f"gives {shape_of(tensor)} for {images}: images do not come first, as in attention in "
            "windows and in sequences with time first; name the module around it instead",
        )
    if not tensor.is_floating_point():
        raise UnusableError("integers", f"gives {tensor.dtype}, not floating-point activations")
    if not bool(tensor.isfinite().all()):
        half = tensor.dtype in (torch.float16, torch.bfloat16)
        hint = f"; {tensor.dtype} may overflow here: try float32" if half else ""
        raise UnusableError(
            "not finite", f"gives NaN or infinity already for the first image{hint}"
        )
    if again is None or again.ndim != tensor.ndim or len(again) != second.survey.batch:
        gives = shape_of(again) if again is not None else "nothing"
        raise UnusableError(
            "not one output per image",
            f"gives {shape_of(tensor)} for {batch} image(s) and {gives} for "
            f"{second.survey.batch}: it is not of the images, or images do not come first",
        )
    if again.shape[1:] != tensor.shape[1:] or _differ(tensor, again[:batch]):
        training = [name or "the model" for name, m in model.named_modules() if m.training]
        where = f" (in training mode: {listed(training, 3)})" if training else ""
        raise UnusableError(
            "different each time, or with other images",
            "gives different activations for the same input: is dropout left on?"
            f"{where} Or is it random by design, or normalized over the batch?",
        )
    return tensor


def _check_calls(model: nn.Module, spec: LayerSpec, calls: int) -> None:
    if calls == 0:
        parent = spec.module.rpartition(".")[0]
        # This module uses the weights of its projection without running it.
        inside = isinstance(model.get_submodule(parent), nn.MultiheadAttention)
        hint = f": nn.MultiheadAttention only uses its weights; name {parent!r}" if inside else ""
        raise UnusableError("not run", f"is not run by the model's forward pass{hint}")
    if calls > 1:
        module = model.get_submodule(spec.module)
        names = [n for n, m in model.named_modules(remove_duplicate=False) if m is module]
        tied = f" (tied modules: one under the names {', '.join(names)})" if len(names) > 1 else ""
        raise UnusableError(
            "run more than once",
            f"is run {calls} times in one forward pass{tied}, so its units have no one activation "
            "map; name the module around it instead",
        )


def _differ(first: Tensor, second: Tensor) -> bool:
    tolerance = _SAME.get(first.dtype, _SAME_IN_FULL)
    # On the CPU, as some devices have no float64.
    first, second = first.cpu().double(), second.cpu().double()
    difference = torch.linalg.vector_norm(first - second)
    return bool(difference > tolerance * torch.linalg.vector_norm(first))


def _maps(
    spec: LayerSpec, layout: Layout, tensor: Tensor, autoencoders: Mapping[str, nn.Module]
) -> Tensor:
    """Return the maps of the probe's batch, without gradients."""
    if not spec.sae:
        return to_maps(spec, layout, tensor, autoencoders)
    encoder = autoencoder_of(spec, autoencoders)
    try:
        with torch.no_grad():
            maps = to_maps(spec, layout, tensor, autoencoders)
    except Exception as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        units = layout.maps(tensor).shape[1]
        problem = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnusableError(
            "not what their autoencoder takes",
            f"has {units} units, which its autoencoder cannot take: {problem}",
        ) from error
    if maps.ndim != 4 or not maps.is_floating_point():
        raise UnusableError(
            "not what their autoencoder takes",
            f"has an autoencoder ({type(encoder).__name__}) that gives no latents",
        )
    return maps
