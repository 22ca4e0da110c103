"""Finding layers by name and by pattern, and saying why some cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import Tensor, nn

from milannotations.errors import InputError, did_you_mean
from milannotations.hook_points.hook_point import HookPoint, listed
from milannotations.hook_points.layer_spec import LayerSpec
from milannotations.hook_points.layout import Layout, reason_of
from milannotations.hook_points.probe import examine, refusal
from milannotations.progress import note
from milannotations.rules import InPlace

# Number of names after each reason, and of layers that an error lists.
_SHOWN, _LISTED = 3, 30

# Returns why a layer cannot be used for some purpose, or None if it can.
Refuses = Callable[[HookPoint], ValueError | None]


@dataclass(frozen=True)
class PatternMatch:
    """What a name or a pattern of layers matches.

    Attributes:
        pattern: The name or pattern.
        layers: The names of the layers, in the model's order.
        exact: Whether it is the name of one layer, not a pattern.
    """

    pattern: str
    layers: tuple[str, ...]
    exact: bool


def match_layers(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Return the names of all layers that match any pattern, in the model's own order.

    Args:
        model: Any module.
        patterns: Module paths as PyTorch names them (``layer4``, ``features.10``), with the
            wildcards ``*`` (which also stands for dots), ``?`` and ``[...]``, followed by the
            marks of a layer: ``@in`` for the module's input, ``@1`` for item 1 of its output,
            ``@heads=6`` for one unit per attention head, ``@sae`` for the latents of an
            autoencoder (``blocks.*.attn.proj@in@heads=6``).

    Raises:
        InputError: If a pattern matches nothing (similar names and the model's layers are listed),
            is misspelt, or names a module by its second name.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    >>> match_layers(model, ["2", "0", "0@in"])
    ['0', '0@in', '2']
    """
    return _in_order(model, find_matches(model, patterns))


def find_matches(model: nn.Module, patterns: Sequence[str]) -> list[PatternMatch]:
    """Return what each pattern matches; arguments and errors as for ``match_layers``."""
    names, second = names_of(model)
    if not patterns:
        raise InputError(f"no layer is named; this model has {there_are(names)}")
    matches = []
    for pattern in patterns:
        spec = LayerSpec.parse(pattern)
        matching = _matching(spec.module, names, second)
        layers = tuple(name + spec.marks for name in matching)
        matches.append(PatternMatch(pattern, layers, exact=spec.module in names))
    return matches


def names_of(model: nn.Module) -> tuple[list[str], dict[str, str]]:
    """Return the names of all modules, and for each additional name of a module its first one."""
    first: dict[int, str] = {}
    second: dict[str, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if name and first.setdefault(id(module), name) != name:
            second[name] = first[id(module)]
    return list(first.values()), second


def find_hook_points(
    model: nn.Module,
    patterns: Sequence[str],
    inputs: tuple[Tensor, ...],
    layouts: Mapping[str, Layout] | None = None,
    autoencoders: Mapping[str, nn.Module] | None = None,
    refuses: Refuses = lambda point: None,
    in_place: InPlace = "before",
) -> dict[str, HookPoint]:
    """Find the layers that names and patterns stand for, and how each is read.

    A pattern leaves out layers that cannot be used, and one line on standard error says how many
    and why. A layer that is named exactly must be usable.

    Args:
        model: The model, in evaluation mode, on the device of ``inputs``.
        patterns: See ``match_layers``.
        inputs: What the model is called with; see ``examine``.
        layouts: See ``examine``.
        autoencoders: See ``examine``.
        in_place: See ``examine``.
        refuses: Returns why a layer cannot be used, in addition to what ``examine`` finds.

    Raises:
        InputError: As ``match_layers`` and ``examine``; if a layer that is named exactly cannot
            be used, or nothing that a pattern matches can.
    """
    matches = find_matches(model, patterns)
    names = _in_order(model, matches)
    points, problems = examine(model, names, inputs, layouts, autoencoders, in_place)
    for name in [*points]:
        problem = refuses(points[name])
        if problem is not None:
            problems[name] = problem
            del points[name]
    wrong = {
        layer: problems[layer]
        for match in matches
        if match.exact
        for layer in match.layers
        if layer in problems
    }
    if wrong:
        raise refusal(wrong)
    for match in matches:
        if not any(layer in points for layer in match.layers):
            count = len(match.layers)
            which = (
                "one module, which cannot" if count == 1 else f"{count} modules, none of which can"
            )
            raise InputError(
                f"{match.pattern!r} matches {which} be used: "
                f"{grouped_reasons({layer: problems[layer] for layer in match.layers})}"
            )
    if problems:
        wild = [match for match in matches if not match.exact]
        matching = {layer for match in wild for layer in match.layers}
        note(
            f"{', '.join(repr(match.pattern) for match in wild)}: {len(matching & set(points))} of "
            f"{len(matching)} layers can be used, left out are "
            f"{grouped_reasons(problems)}"
        )
    return points


def grouped_reasons(problems: Mapping[str, ValueError]) -> str:
    """Return how many layers cannot be used, and why, with some names for each reason.

    >>> from milannotations.hook_points.layout import UnusableError
    >>> run_twice = UnusableError("run more than once", "is run 2 times")
    >>> grouped_reasons({"a": run_twice, "b": run_twice, "c": UnusableError("not run", "is not")})
    '2 run more than once (a, b), 1 not run (c)'
    """
    groups: dict[str, list[str]] = {}
    for layer, problem in problems.items():
        groups.setdefault(reason_of(problem), []).append(layer)
    largest_first = sorted(groups.items(), key=lambda group: -len(group[1]))
    return ", ".join(
        f"{len(layers)} {reason} ({listed(layers, _SHOWN)})" for reason, layers in largest_first
    )


def there_are(names: Sequence[str]) -> str:
    """List a model's layers, or only the outermost if there are too many for a message."""
    if len(names) <= _LISTED:
        return ", ".join(names)
    outermost = sorted(names, key=lambda name: name.count("."))[:_LISTED]
    chosen = set(outermost)
    some = ", ".join(name for name in names if name in chosen)
    return (
        f"{len(names)} layers, among them {some} (`milannotations layers MODEL` lists all of them)"
    )


def _in_order(model: nn.Module, matches: Iterable[PatternMatch]) -> list[str]:
    """Return all layers that match, each once, in the model's order."""
    wanted: dict[str, dict[str, None]] = {}
    for match in matches:
        for layer in match.layers:
            wanted.setdefault(layer.partition("@")[0], {})[layer] = None
    names, _ = names_of(model)
    return [layer for name in names for layer in wanted.get(name, ())]


def _matching(pattern: str, names: Sequence[str], second: Mapping[str, str]) -> list[str]:
    if pattern in names:
        return [pattern]
    matching = [name for name in names if fnmatchcase(name, pattern)]
    if matching:
        return matching
    for name, of in second.items():
        if fnmatchcase(name, pattern):
            raise InputError(f"layer {name!r} is the same module as {of!r}; name it so")
    raise InputError(
        f"no layer matches {pattern!r}{did_you_mean(pattern, names)}; this model has "
        f"{there_are(names)}"
    )
