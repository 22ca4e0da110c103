"""One pass before the pass: how the layers' outputs are laid out, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.exemplars.layout import Layout
from milannotations.exemplars.taps import Spec, Tap, listed, raw, read

_MOST_PREFIX_TOKENS = 16  # class and register tokens; DINOv2 and DINOv3 have five at most
_SAME = 1e-2  # relative difference between two passes that rounding may explain
# Their output has channels last. Subclasses may not: torchvision's LayerNorm2d has not.
_CHANNELS_LAST = (nn.Linear, nn.LayerNorm)


@dataclass
class _Seen:
    """What one forward pass has shown."""

    calls: dict[str, int]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    patches: tuple[int, int] | None = None  # grid of the patch embedding
    token_counts: set[int] = field(default_factory=set)


def probe(
    model: nn.Module,
    layers: Sequence[str],
    inputs: tuple[Tensor, ...],
    layouts: Mapping[str, Layout] | None = None,
    attached: Mapping[str, nn.Module] | None = None,
) -> dict[str, Tap]:
    """Run a batch, twice, and find how each layer's output becomes activation maps.

    Tokens are laid out on the grid of the patch embedding: the first convolution whose kernel is
    its stride. What the sequence has more than the grid is taken for class and register tokens,
    which come first.

    Args:
        model: The model, in evaluation mode, on the device of ``inputs``.
        layers: Names from ``match_layers``.
        inputs: What the model is called with; a batch of any size.
        layouts: Layouts by layer pattern, where they are known; the first that matches counts.
        attached: Autoencoders, by the name of the layer they stand on.

    Raises:
        InputError: If the model cannot run on these inputs; if a layer is not run, or more than
            once, or gives what cannot be laid out; if activations are not finite, or differ from
            one pass to the next.
    """
    attached = attached or {}
    specs = {layer: Spec.parse(layer) for layer in layers}
    for spec in specs.values():
        if spec.sae and str(spec).removesuffix("@sae") not in attached:
            raise InputError(f"layer {spec}: no autoencoder is given for it (--sae LAYER=PATH)")
    seen = _look(model, specs, inputs)
    again = _look(model, specs, inputs)
    taps: dict[str, Tap] = {}
    problems: dict[str, str] = {}
    for layer, spec in specs.items():
        try:
            _check_calls(model, spec, seen.calls[layer])
            if layer in seen.problems:
                raise ValueError(seen.problems[layer])
            tensor = seen.tensors[layer]
            _check_values(model, tensor, again.tensors[layer], len(inputs[0]))
            layout = _given(layer, spec, layouts or {}) or _detect(
                tensor, model.get_submodule(spec.module), spec, seen, inputs[0]
            )
            _, units, height, width = _read(spec, layout, tensor, attached).shape
            taps[layer] = Tap(layer, units, height, width, layout)
        except ValueError as error:  # noqa: PERF203
            problems[layer] = str(error)
    if problems:
        lines = "\n".join(f"  {layer!r} {problem}" for layer, problem in problems.items())
        raise InputError(f"no exemplars can be built for these layers:\n{lines}")
    return taps


def _look(model: nn.Module, specs: Mapping[str, Spec], inputs: tuple[Tensor, ...]) -> _Seen:
    """Run the model once, and take note of what the layers give."""
    seen = _Seen(calls=dict.fromkeys(specs, 0))

    def watch(layer: str, spec: Spec, args: Any, kwargs: Any, output: Any) -> None:
        seen.calls[layer] += 1
        try:
            # Cloned, as an in-place operation may follow.
            seen.tensors[layer] = raw(spec, args, kwargs, output).clone()
        except ValueError as error:
            seen.problems[layer] = str(error)

    def watch_all(module: nn.Module, _args: Any, output: Any) -> None:
        if not isinstance(output, Tensor):
            return
        if output.ndim == 3 and len(output) == len(inputs[0]):
            seen.token_counts.add(output.shape[1])
        if isinstance(module, nn.Conv2d) and output.ndim == 4 and seen.patches is None:
            stride = module.stride
            if module.kernel_size == stride and max(stride) > 1:
                seen.patches = (output.shape[2], output.shape[3])

    handles = [module.register_forward_hook(watch_all) for module in model.modules()]
    handles += [hook(model, layer, spec, watch) for layer, spec in specs.items()]
    try:
        with torch.no_grad():
            model(*inputs)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        shapes = ", ".join(_shape(tensor) for tensor in inputs)
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"the model cannot run on inputs of shape {shapes}: {first}") from error
    finally:
        for handle in handles:
            handle.remove()
    return seen


def hook(model: nn.Module, layer: str, spec: Spec, call: Any) -> Any:
    """Have ``call(layer, spec, args, kwargs, output)`` called at a layer; return the handle.

    Inputs are seen before the module can change them in place, outputs before anything can that
    follows.
    """
    module = model.get_submodule(spec.module)
    if spec.is_input:
        return module.register_forward_pre_hook(
            lambda _module, args, kwargs: call(layer, spec, args, kwargs, None), with_kwargs=True
        )
    return module.register_forward_hook(
        lambda _module, args, kwargs, output: call(layer, spec, args, kwargs, output),
        with_kwargs=True,
    )


def _check_calls(model: nn.Module, spec: Spec, calls: int) -> None:
    if calls == 0:
        raise ValueError("is not run by the model's forward pass")
    if calls > 1:
        module = model.get_submodule(spec.module)
        names = [n for n, m in model.named_modules(remove_duplicate=False) if m is module]
        tied = f" (it is one module under the names {', '.join(names)})" if len(names) > 1 else ""
        raise ValueError(
            f"is run {calls} times in one forward pass{tied}, so its units have no one activation "
            "map; name the module around it instead"
        )


def _check_values(model: nn.Module, tensor: Tensor, again: Tensor, batch: int) -> None:
    if tensor.ndim < 2 or tensor.shape[0] != batch:
        raise ValueError(
            f"does not have images first: it gives {_shape(tensor)} for {batch} image(s), as "
            "attention in windows and time-first sequences do; name the module around it instead"
        )
    if not tensor.is_floating_point():
        raise ValueError(f"gives {tensor.dtype}, not floating-point activations")
    if not bool(tensor.isfinite().all()):
        half = tensor.dtype in (torch.float16, torch.bfloat16)
        hint = f" ({tensor.dtype} may overflow: try float32)" if half else ""
        raise ValueError(f"gives NaN or infinity already for the first image{hint}")
    size = tensor.float().abs().amax()
    if tensor.shape != again.shape or bool(
        (tensor.float() - again.float()).abs().amax() > _SAME * size
    ):
        training = [name or "the model" for name, m in model.named_modules() if m.training]
        where = f" (in training mode: {listed(training, 3)})" if training else ""
        raise ValueError(
            f"gives different activations for the same image: is dropout left on?{where}"
        )


def _given(layer: str, spec: Spec, layouts: Mapping[str, Layout]) -> Layout | None:
    for pattern, layout in layouts.items():
        if fnmatchcase(layer, pattern) or fnmatchcase(spec.module, pattern):
            return layout
    return None


def _detect(tensor: Tensor, module: nn.Module, spec: Spec, seen: _Seen, image: Tensor) -> Layout:
    """Tell the layout from the shape and what else the pass has shown."""
    if tensor.ndim == 2:
        return Layout("vector")
    if tensor.ndim == 3:
        return _token_layout(tensor.shape[1], seen, image)
    if tensor.ndim != 4:
        raise ValueError(f"gives {_shape(tensor)}: neither maps, nor tokens, nor a vector")
    if tensor.shape[2] == tensor.shape[3] and tensor.shape[2] in seen.token_counts:
        raise ValueError(
            f"gives {_shape(tensor)}: attention between tokens, of which there are "
            f"{tensor.shape[2]}, not activation maps"
        )
    if not spec.is_input and type(module) in _CHANNELS_LAST:
        return Layout("channels_last")
    if isinstance(module, nn.modules.conv._ConvNd) and not spec.is_input:
        return Layout("spatial")
    if image.ndim != 4:
        return Layout("spatial")  # a generator of latent vectors
    fits = {
        kind: _fits(tensor.shape[first], tensor.shape[first + 1], image)
        for kind, first in (("spatial", 2), ("channels_last", 1))
    }
    if fits["spatial"] and fits["channels_last"]:
        raise ValueError(
            f"gives {_shape(tensor)}, which may have units first or last: say which with --layout"
        )
    return Layout("channels_last" if fits["channels_last"] else "spatial")


def _fits(height: int, width: int, image: Tensor) -> bool:
    """Say whether a map has the proportions of the image, as far as rounding lets it."""
    rows, columns = image.shape[2:]
    return abs(height * columns - width * rows) <= max(rows, columns)


def _token_layout(tokens: int, seen: _Seen, image: Tensor) -> Layout:
    if seen.patches is not None:
        height, width = seen.patches
        prefix = tokens - height * width
        if 0 <= prefix <= _MOST_PREFIX_TOKENS:
            return Layout("tokens", (height, width), prefix)
        # Hierarchical networks merge patches two by two.
        while height * width > 1:
            height, width = (height + 1) // 2, (width + 1) // 2
            if tokens == height * width:
                return Layout("tokens", (height, width))
    elif image.ndim == 4 and image.shape[2] == image.shape[3]:
        for prefix in (0, 1):
            side = round((tokens - prefix) ** 0.5)
            if side * side == tokens - prefix:
                return Layout("tokens", (side, side), prefix)
    patches = f"patches of {seen.patches}" if seen.patches else "no patch embedding was found"
    raise ValueError(
        f"gives {tokens} tokens, whose grid cannot be told ({patches}): say it with --layout"
    )


def _read(spec: Spec, layout: Layout, tensor: Tensor, attached: Mapping[str, nn.Module]) -> Tensor:
    try:
        return read(spec, layout, tensor, attached)
    except RuntimeError as error:  # of an autoencoder that takes another number of units
        raise ValueError(
            f"has {_shape(tensor)}, on which its autoencoder fails: {error}"
        ) from error


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(length) for length in tensor.shape)
