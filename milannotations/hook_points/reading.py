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
    reading = _Reading(model, points, on_maps, autoencoders or {}, stop_early)
    with reading.attached():
        yield reading.run


class _Reading:
    """The hooks of ``activations``, and what they have seen in the current pass."""

    def __init__(
        self,
        model: nn.Module,
        points: Sequence[HookPoint],
        on_maps: OnMaps,
        autoencoders: Mapping[str, nn.Module],
        stop_early: bool,
    ) -> None:
        self._model = model
        self._points = points
        self._on_maps = on_maps
        self._autoencoders = autoencoders
        self._stop_early = stop_early
        self._waiting: set[str] = set()
        self._running = False
        self._later = {p.layer: ChangedBy(*p.changed_by) for p in points if p.changed_by}
        self._deferred = Deferred(self._later)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Attach the hooks."""
        with ExitStack() as stack:
            for point in self._points:
                stack.callback(attach(self._model, point.spec, partial(self._see, point)).remove)
                if point.layer in self._later:
                    changer = self._model.get_submodule(self._later[point.layer].module)
                    handle = changer.register_forward_hook(partial(self._see_change, point))
                    stack.callback(handle.remove)
            yield

    def run(self, *inputs: Tensor) -> Any:
        """Call the model; return its output, or None if the pass was left early."""
        self._deferred.clear()
        self._waiting.update(point.layer for point in self._points)
        self._running = True
        try:
            output = self._model(*inputs)
        except _AllSeen:
            return None
        finally:
            self._running = False
        layer = self._deferred.overdue()
        if layer is not None:
            raise InputError(
                f"layer {layer!r} was changed in place by module {self._later[layer].module!r} in "
                "the probe, and not in this pass: its network does not do the same for all images; "
                "pass --in-place before"
            )
        return output

    def _see(self, point: HookPoint, call: HookedCall) -> None:
        try:
            tensor = call.tensor()
        except ValueError as error:
            raise InputError(f"layer {point.layer!r} {error}") from error
        if point.layer in self._later:
            self._deferred.hold(point.layer, tensor)
        else:
            self._deliver(point, tensor)

    def _see_change(self, point: HookPoint, *_: Any) -> None:
        tensor = self._deferred.due(point.layer)
        if tensor is not None:
            self._deliver(point, tensor)

    def _deliver(self, point: HookPoint, tensor: Tensor) -> None:
        try:
            maps = to_maps(point.spec, point.layout, tensor, self._autoencoders)
        except ValueError as error:
            raise InputError(f"layer {point.layer!r} {error}") from error
        if tuple(maps.shape[1:]) != (point.units, point.height, point.width):
            raise InputError(
                f"layer {point.layer!r} gives maps of {shape_of(maps[0])}, and of {point.units} × "
                f"{point.height} × {point.width} in the probe; all inputs must be of one size"
            )
        self._on_maps(point.layer, point.picked(maps))
        self._waiting.discard(point.layer)
        if self._stop_early and self._running and not self._waiting:
            raise _AllSeen
