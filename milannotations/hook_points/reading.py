"""Reading the activation maps of layers as a network computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.hook_points.hook_point import HookPoint, to_maps
from milannotations.hook_points.hooks import HookedCall, attach
from milannotations.hook_points.in_place import ChangedBy, Deferred
from milannotations.hook_points.layout import shape_of

OnMaps = Callable[[str, Tensor], None]


class _AllSeen(BaseException):
    """Ends a forward pass; not an Exception, so that no model handles it as an error of its own."""


@contextmanager
def activations(
    model: nn.Module,
    points: Sequence[HookPoint],
    on_maps: OnMaps,
    *,
    autoencoders: Mapping[str, nn.Module] | None = None,
    stop_early: bool = False,
) -> Iterator[Callable[..., Any]]:
    """Call ``on_maps(layer, maps)`` whenever one of the layers has computed its output.

    The call happens inside the forward pass, so that one layer's maps can be freed before the
    next layer's are computed. It happens at once, before an in-place operation that follows (such
    as ReLU in most torchvision models) can change the output; if the hook point has a
    ``changed_by``, it happens after that change.

    Args:
        model: Any module.
        points: The layers, from ``find_hook_points`` or ``probe``.
        on_maps: Receives maps of shape (images, units that are read, height, width), as the model
            computes them, mostly views of its own tensors: copy what must outlive the call.
        autoencoders: By the name of the layer whose units they encode. Their latents of a whole
            batch are held at once: images × latents × height × width × 4 bytes.
        stop_early: Leave a forward pass once all layers have been seen in it.

    Yields:
        A function to call instead of the model; it returns the model's output, or None if it
        stopped early.

    Raises:
        InputError: In a forward pass, if a layer's maps are not what the hook point says.
    """
    encoders = autoencoders or {}
    waiting: set[str] = set()
    running = False
    later = {point.layer: ChangedBy(*point.changed_by) for point in points if point.changed_by}
    deferred = Deferred(later)

    def on_tensor(point: HookPoint, tensor: Tensor) -> None:
        try:
            maps = to_maps(point.spec, point.layout, tensor, encoders)
        except ValueError as error:
            raise InputError(f"layer {point.layer!r} {error}") from error
        if tuple(maps.shape[1:]) != (point.units, point.height, point.width):
            raise InputError(
                f"layer {point.layer!r} gives maps of {shape_of(maps[0])}, and of {point.units} × "
                f"{point.height} × {point.width} in the probe; all inputs must be of one size"
            )
        on_maps(point.layer, point.picked(maps))
        waiting.discard(point.layer)
        if stop_early and running and not waiting:
            raise _AllSeen

    def on_call(point: HookPoint, call: HookedCall) -> None:
        try:
            tensor = call.tensor()
        except ValueError as error:
            raise InputError(f"layer {point.layer!r} {error}") from error
        if point.layer in later:
            deferred.hold(point.layer, tensor)
        else:
            on_tensor(point, tensor)

    def on_change(point: HookPoint, *_: Any) -> None:
        tensor = deferred.due(point.layer)
        if tensor is not None:
            on_tensor(point, tensor)

    def run(*inputs: Tensor) -> Any:
        nonlocal running
        deferred.clear()
        waiting.update(point.layer for point in points)
        running = True
        try:
            output = model(*inputs)
        except _AllSeen:
            return None
        finally:
            running = False
        layer = deferred.overdue()
        if layer is not None:
            raise InputError(
                f"layer {layer!r} was changed in place by module {later[layer].module!r} in the "
                "probe, and not in this pass: its network does not do the same for all images; "
                "pass --in-place before"
            )
        return output

    with ExitStack() as stack:
        for point in points:
            stack.callback(attach(model, point.spec, partial(on_call, point)).remove)
            if point.layer in later:
                changer = model.get_submodule(later[point.layer].module)
                handle = changer.register_forward_hook(partial(on_change, point))
                stack.callback(handle.remove)
        yield run
