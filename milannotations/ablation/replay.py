"""Resuming a network from one of its layers, with the outputs of earlier modules cached.

If two passes differ only from some layer on, every module that finishes before that layer gives
the same output in both. Those outputs are cached and returned instead of being computed again. The
network's own code between modules runs again: it is needed to get to the layer, and is cheap. No
code is traced, so this works for any network in evaluation mode whose path through its modules does
not depend on the ablation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from milannotations.hook_points.hook_point import HookPoint

Inputs = tuple[Tensor, ...]
# A module, and the number of the call among its calls in one forward pass.
Call = tuple[nn.Module, int]


@dataclass(eq=False)
class _Event:
    """A module's call in the observed pass: when it began and ended, and the call around it."""

    call: Call
    began: int
    parent: _Event | None
    ended: int = 0
    inner: Counter[nn.Module] = field(default_factory=Counter)


@dataclass(frozen=True)
class Cut:
    """The calls that have finished when a layer has been computed.

    Attributes:
        at: When the layer is computed, in steps of the pass; later layers have greater numbers.
        calls: The outermost calls that have finished by then, each with the number of calls of
            other modules within it.
        fragile: Those whose outputs are changed in place by code that runs again.
        unused: Those whose outputs are only used by other finished calls, as most are in a
            sequence: only the shapes of these outputs are cached.
        batched: For each call, which of its output tensors have a first axis that grows with the
            batch.
    """

    at: int
    calls: dict[Call, Counter[nn.Module]]
    fragile: frozenset[Call]
    unused: frozenset[Call]
    batched: dict[Call, tuple[bool, ...]]

    def cached(self, call: Call, output: Any) -> Any:
        """Return what to cache of a call's output."""
        if call in self.unused:
            return _each_tensor(output, lambda leaf: leaf.new_zeros(()).expand(leaf.shape))
        return _cloned(output) if call in self.fragile else output


@dataclass
class Memory:
    """Cached outputs of a cut's calls for one batch."""

    cut: Cut
    outputs: dict[Call, Any] = field(default_factory=dict)

    def repeated(self, times: int) -> Memory:
        """Return the outputs for several copies of the batch, one after the other."""
        if times == 1:
            return self
        enlarged = Memory(self.cut)
        for call, output in self.outputs.items():
            leaves, shape = tree_flatten(output)
            flags = iter(self.cut.batched[call])
            grow = _stretched if call in self.cut.unused else _repeated
            grown = [
                grow(leaf, times) if isinstance(leaf, Tensor) and next(flags) else leaf
                for leaf in leaves
            ]
            enlarged.outputs[call] = tree_unflatten(grown, shape)
        return enlarged


class _Complete(BaseException):
    """Ends a pass once everything is cached; not an Exception, so that no model handles it."""


def find_cuts(model: nn.Module, points: Sequence[HookPoint], inputs: Inputs) -> dict[str, Cut]:
    """Observe passes of a batch and of its first image, and find the cut of each layer.

    Args:
        model: In evaluation mode.
        points: The layers; each is run once in a pass, as ``probe`` ensures.
        inputs: A batch of at least two images.

    Raises:
        ValueError: If the batch has fewer images.
    """
    if len(inputs[0]) < 2:
        raise ValueError("a batch of at least two images is needed")
    batch_pass, image_pass, uses = (_Watch(model, points) for _ in range(3))
    batch_pass.run(inputs)
    image_pass.run(tuple(tensor[:1] for tensor in inputs))
    with _Uses(uses):
        uses.run(inputs)
    # Some modules of torch take another path when operations are observed.
    alike = [event.call for event in batch_pass.events] == [event.call for event in uses.events]
    cuts = {}
    for point in points:
        outermost = batch_pass.finished(point.layer)
        calls = {event.call: event.inner for event in outermost}
        batched = {
            call: tuple(
                a != b for a, b in zip(batch_pass.rows[call], image_pass.rows[call], strict=True)
            )
            for call in calls
        }
        fragile = frozenset(_outside(batch_pass.changes, outermost) & calls.keys())
        unused: frozenset[Call] = frozenset()
        if alike:
            used = _outside(uses.uses, uses.finished(point.layer))
            own = {outermost[-1].call} if outermost else set()
            unused = frozenset(calls.keys() - used - own - fragile)
        cuts[point.layer] = Cut(batch_pass.reached[point.layer], calls, fragile, unused, batched)
    return cuts


def _outside(what: Iterable[tuple[Call, int]], calls: Iterable[_Event]) -> set[Call]:
    """Return the calls whose outputs are changed or used outside all of ``calls``."""
    spans = [(event.began, event.ended) for event in calls]
    return {call for call, when in what if not any(a < when < b for a, b in spans)}


class _Watch:
    """One observed pass. Calls begin and end at even times; odd times lie between."""

    def __init__(self, model: nn.Module, points: Sequence[HookPoint]) -> None:
        self._model = model
        self._names: dict[tuple[nn.Module, bool], list[str]] = {}
        for point in points:
            key = (model.get_submodule(point.spec.module), point.spec.is_input)
            self._names.setdefault(key, []).append(point.layer)
        self._time = 0
        self._counts: Counter[nn.Module] = Counter()
        self._open: list[_Event] = []
        self._kept: dict[Call, list[tuple[Tensor, int]]] = {}
        self._owners: dict[int, list[Call]] = {}
        self.events: list[_Event] = []
        # Calls whose outputs were changed in place, or were used, each with the time.
        self.changes: list[tuple[Call, int]] = []
        self.uses: set[tuple[Call, int]] = set()
        self.rows: dict[Call, tuple[int, ...]] = {}
        self.reached: dict[str, int] = {}

    def run(self, inputs: Inputs) -> None:
        """Run the pass."""
        with torch.no_grad(), no_fast_path(), _patched(self._model.modules(), self._around):
            output = self._model(*inputs)
        self.use(tree_flatten(output)[0])
        self._kept.clear()  # the tensors are no longer needed

    def use(self, values: Iterable[Any]) -> None:
        """Record that these values, some of which may be outputs of calls, are used."""
        for value in values:
            if isinstance(value, Tensor):
                self.uses |= {(call, self._time + 1) for call in self._owners.get(id(value), ())}

    def finished(self, layer: str) -> list[_Event]:
        """Return the outermost calls that had ended when a layer was reached."""
        at = self.reached[layer]
        ended = {event for event in self.events if event.ended <= at}
        return [event for event in self.events if event in ended and event.parent not in ended]

    def _around(self, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._look()
            self._reach(module, True)
            self._time += 2
            parent = self._open[-1] if self._open else None
            event = _Event((module, self._counts[module]), self._time, parent)
            self._counts[module] += 1
            for outer in self._open:
                outer.inner[module] += 1
            self._open.append(event)
            output = forward(*args, **kwargs)
            self._look()
            self._open.pop()
            self._time += 2
            event.ended = self._time
            self.events.append(event)
            tensors = [leaf for leaf in tree_flatten(output)[0] if isinstance(leaf, Tensor)]
            self._kept[event.call] = [(tensor, tensor._version) for tensor in tensors]
            for tensor in tensors:
                # All are kept alive, so that no other tensor gets the same id.
                self._owners.setdefault(id(tensor), []).append(event.call)
            self.rows[event.call] = tuple(len(t) if t.ndim else -1 for t in tensors)
            self._reach(module, False)
            return output

        return watched

    def _reach(self, module: nn.Module, is_input: bool) -> None:
        for layer in self._names.get((module, is_input), ()):
            self.reached.setdefault(layer, self._time)

    def _look(self) -> None:
        """Record what has been changed in place since the last call."""
        for call, tensors in self._kept.items():
            for number, (tensor, version) in enumerate(tensors):
                if tensor._version != version:
                    tensors[number] = (tensor, tensor._version)
                    self.changes.append((call, self._time + 1))


class _Uses(TorchDispatchMode):
    """Reports the tensor arguments of all operations to a watch."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._watch.use(tree_flatten((args, kwargs or {}))[0])
        return func(*args, **(kwargs or {}))


@contextmanager
def no_fast_path() -> Iterator[None]:
    """Have torch's transformer layers call their modules, as they do where there are hooks."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def remember(model: nn.Module, cut: Cut, inputs: Inputs, earlier: Memory | None = None) -> Memory:
    """Run a batch up to a cut, and return the cached outputs.

    Args:
        model: The network.
        cut: Where to stop.
        inputs: The batch.
        earlier: The cached outputs up to an earlier cut.
    """
    memory = Memory(cut)
    if cut.calls:
        try:
            with no_fast_path(), replaying(model, earlier, memory):
                model(*inputs)
        except _Complete:
            pass
    return memory


@contextmanager
def replaying(
    model: nn.Module, memory: Memory | None, wanted: Memory | None = None
) -> Iterator[None]:
    """Return cached outputs instead of computing them, in the one pass of the ``with`` block.

    Args:
        model: The network.
        memory: The cached outputs; None for none.
        wanted: Where to cache outputs; an exception ends the pass once all are cached.

    Raises:
        RuntimeError: If the pass did not make all cached calls.
    """
    counts: Counter[nn.Module] = Counter()
    given = 0
    outputs = memory.outputs if memory else {}
    fragile = memory.cut.fragile if memory else frozenset()
    missing = set(wanted.cut.calls) if wanted else set()

    def around(module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal given
            call = (module, counts[module])
            counts[module] += 1
            if memory and call in outputs:
                given += 1
                # Modules may be shared; those within this call are skipped now.
                counts.update(memory.cut.calls[call])
                output = _cloned(outputs[call]) if call in fragile else outputs[call]
            else:
                output = forward(*args, **kwargs)
            if wanted and call in missing:
                missing.remove(call)
                wanted.outputs[call] = wanted.cut.cached(call, output)
                if not missing:
                    raise _Complete
            return output

        return run

    with _patched({module for module, _ in [*outputs, *missing]}, around):
        yield
    if given != len(outputs):
        raise RuntimeError(
            f"{given} of {len(outputs)} cached calls were made: the network takes another path "
            "through its modules in each pass"
        )


@contextmanager
def _patched(
    modules: Iterable[nn.Module],
    around: Callable[[nn.Module, Callable[..., Any]], Callable[..., Any]],
) -> Iterator[None]:
    """Wrap the ``forward`` of modules; their hooks still run."""
    own: dict[nn.Module, Any] = {}
    try:
        for module in modules:
            own[module] = module.__dict__.get("forward")
            module.forward = around(module, module.forward)
        yield
    finally:
        for module, before in own.items():
            if before is None:
                module.__dict__.pop("forward", None)
            else:
                module.forward = before


def _cloned(output: Any) -> Any:
    return _each_tensor(output, Tensor.clone)


def _each_tensor(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    leaves, shape = tree_flatten(output)
    changed = [change(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    return tree_unflatten(changed, shape)


def _repeated(tensor: Tensor, times: int) -> Tensor:
    return tensor.repeat(times, *[1] * (tensor.ndim - 1))


def _stretched(tensor: Tensor, times: int) -> Tensor:
    """Return a tensor of the shape of ``_repeated``, without its values."""
    return tensor.new_zeros(()).expand(times * len(tensor), *tensor.shape[1:])
