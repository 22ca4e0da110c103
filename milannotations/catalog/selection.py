"""Finding a network's state dictionary in what training scripts save.

Checkpoints nest state dictionaries (``model``, ``state_dict``, ``teacher``, …) and prefix names
(``module.``, ``_orig_mod.``, ``model.``, ``backbone.``, …). Neither is guessed from its name: if
the network is known, the state dictionary that fits its parameters is taken.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from milannotations.errors import InputError

State = Mapping[str, Tensor]
_DEEPEST = 4  # dictionaries within dictionaries
_SHOWN = 4  # names in a message
_PREFIXES = 8  # that are tried
# What DataParallel, torch.compile, FSDP and activation checkpointing insert into names.
_WRAPPERS = frozenset(
    {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
)
_NOT_WEIGHTS = re.compile(r"optim|sched|scaler|callback|loops|history|rng", re.IGNORECASE)
# If there is a network and an average of it, authors evaluate the average: timm loads
# "state_dict_ema" first, DINO's evaluation the teacher, I-JEPA's the target. Of MoCo's two
# encoders, they evaluate encoder_q.
_AVERAGED = re.compile(r"(^|[._])(ema|swa|avg|averaged|teacher|target)([._]|$)")
_SECONDARY = re.compile(r"(^|[._])(student|online|context|encoder_k|momentum)([._]|$)")


@dataclass(frozen=True)
class Candidate:
    """A state dictionary in a checkpoint.

    Attributes:
        label: Its position, for people: keys of dictionaries and the prefix, joined by dots.
        state: Its tensors, under their names without the prefix.
        left: Names of other tensors, under other prefixes.
    """

    label: str
    state: dict[str, Tensor]
    left: tuple[str, ...] = ()


def chosen_state(
    checkpoint: Any,
    wanted: State | None,
    source_name: str,
    label: str = "",
    convert: Callable[[State], State] | None = None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Tensor]:
    """Return the state dictionary of a network in a checkpoint.

    Args:
        checkpoint: The result of ``read_checkpoint``.
        wanted: The network's own state dictionary, for its names and shapes; None if it is unknown:
            names then only lose what wrappers add.
        source_name: Name of the checkpoint, for messages.
        label: Label of the state dictionary, or the beginning of its label.
        convert: Converts published names to the network's own; names may be its own already.
        say: Called with one line if there was a choice; by default prints to standard error.

    Raises:
        InputError: If there is none, none with that label, or several without a rule to choose.
    """
    dictionaries = list(_dictionaries(checkpoint))
    if not dictionaries:
        raise InputError(f"weights {source_name} hold no state dictionary of tensors")
    candidates = [
        candidate for base in dictionaries for candidate in _variants(base, wanted, convert)
    ]
    if label:
        candidates = _named(candidates, label, source_name)
    candidates = _distinct(_largest(candidates) if wanted is None else _best(candidates, wanted))
    if wanted is not None and _lacks(candidates[0], wanted)[:2] != (0, 0):
        return candidates[0].state  # none fits, which loading it reports
    tell = say or (lambda line: print(line, file=sys.stderr))
    chosen = _preferred(candidates, source_name, tell)
    if chosen.left and wanted is not None:
        tell(
            f"weights {source_name}: {chosen.label} is taken; {len(chosen.left)} other tensors "
            f"({_some(chosen.left)}) are not of this network"
        )
    return chosen.state


def misfit(wanted: State, state: State) -> str:
    """Return one line on why a state dictionary does not fit a network; empty if it fits."""
    missing = [name for name in wanted if name not in state and _counts(name)]
    more = [name for name in state if name not in wanted]
    shapes = [
        f"{name} is {_shape(wanted[name])} there and {_shape(state[name])} in the file"
        for name in wanted
        if name in state and wanted[name].shape != state[name].shape
    ]
    if not missing and not more and not shapes:
        return ""
    whole = sum(map(_counts, wanted))
    fitting = whole - len(missing)
    parts = [f"{fitting} of its {whole} parameters are in the file"]
    for what, names in (
        ("Missing keys", missing),
        ("Unexpected keys", more),
        ("Other shapes", shapes),
    ):
        if names:
            parts.append(f"{what}: {len(names)} ({_some(names)})")
    return ". ".join(parts)


def _counts(name: str) -> bool:
    # Files from before PyTorch 0.4 lack these counters, which evaluation does not use.
    return not name.endswith("num_batches_tracked")


def _dictionaries(tree: Any, label: tuple[str, ...] = ()) -> Iterator[Candidate]:
    """Yield all dictionaries of tensors, the outermost first."""
    if not isinstance(tree, Mapping) or len(label) > _DEEPEST:
        return
    tensors = {k: v for k, v in tree.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if tensors:
        yield Candidate(".".join(label), tensors)
    for key, value in tree.items():
        if isinstance(key, str) and not _NOT_WEIGHTS.search(key):
            yield from _dictionaries(value, (*label, key))


def _variants(
    base: Candidate, wanted: State | None, convert: Callable[[State], State] | None
) -> list[Candidate]:
    """Return a dictionary under its names without wrappers and prefixes."""
    plain = _without_wrappers(base.state, wanted)
    if wanted is None:
        return [Candidate(base.label, plain)]
    variants = [
        _under(base.label, state, prefix)
        for state in ([plain] if plain.keys() == base.state.keys() else [plain, dict(base.state)])
        for prefix in _prefixes(state, wanted)
    ]
    if convert is not None:
        for prefix in _leading(plain):
            candidate = _under(base.label, plain, prefix)
            renamed = dict(convert(candidate.state))
            if renamed.keys() != candidate.state.keys():
                variants.append(Candidate(candidate.label, renamed, candidate.left))
    return variants


def _without_wrappers(state: State, wanted: State | None) -> dict[str, Tensor]:
    own = {component for name in wanted or () for component in name.split(".")}
    wrappers = _WRAPPERS - own
    renamed = {
        ".".join(component for component in name.split(".") if component not in wrappers): value
        for name, value in state.items()
    }
    return renamed if len(renamed) == len(state) and "" not in renamed else dict(state)


def _prefixes(state: State, wanted: State) -> list[str]:
    """Return the prefixes of most of the network's names; at least the empty one."""
    counts: Counter[str] = Counter({"": 0})
    for name in state:
        start = 0
        while start >= 0:
            if name[start:] in wanted:
                counts[name[:start]] += 1
            dot = name.find(".", start)
            start = dot + 1 if dot >= 0 else -1
    return [prefix for prefix, _ in counts.most_common(_PREFIXES)]


def _leading(state: State) -> list[str]:
    """Return the empty prefix, and prefixes of up to three parts that a tenth of all names have."""
    counts: Counter[str] = Counter()
    for name in state:
        parts = name.split(".")
        counts.update(".".join(parts[:n]) + "." for n in range(1, min(4, len(parts))))
    common = [p for p, count in counts.most_common(_PREFIXES) if count * 10 >= len(state)]
    return ["", *common]


def _under(label: str, state: State, prefix: str) -> Candidate:
    inside = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
    outside = tuple(name for name in state if not name.startswith(prefix))
    return Candidate(".".join(filter(None, (label, prefix.rstrip(".")))), inside, outside)


def _named(candidates: list[Candidate], label: str, source_name: str) -> list[Candidate]:
    named = [
        candidate
        for candidate in candidates
        if candidate.label == label or candidate.label.startswith(f"{label}.")
    ]
    if not named:
        labels = list(dict.fromkeys(candidate.label for candidate in candidates if candidate.label))
        raise InputError(
            f"weights {source_name} hold no {label!r}; they hold {', '.join(labels[:8])}"
        )
    return named


def _best(candidates: list[Candidate], wanted: State) -> list[Candidate]:
    """Return the candidates that fit a network best, by names and then by shapes."""
    scores = [_lacks(candidate, wanted) for candidate in candidates]
    return [
        candidate
        for candidate, score in zip(candidates, scores, strict=True)
        if score == min(scores)
    ]


def _lacks(candidate: Candidate, wanted: State) -> tuple[int, int, int]:
    """Return the numbers of missing names, unexpected names, and shapes that differ."""
    missing = sum(name not in candidate.state for name in wanted if _counts(name))
    more = sum(name not in wanted for name in candidate.state)
    shapes = sum(
        wanted[name].shape != value.shape
        for name, value in candidate.state.items()
        if name in wanted
    )
    return missing, more, shapes


def _largest(candidates: list[Candidate]) -> list[Candidate]:
    """Return the outermost of the candidates that have at least half as many tensors as any."""
    most = max(len(candidate.state) for candidate in candidates)
    large = [candidate for candidate in candidates if 2 * len(candidate.state) >= most]
    return [candidate for candidate in large if _depth(candidate) == min(map(_depth, large))]


def _distinct(candidates: list[Candidate]) -> list[Candidate]:
    """Leave out candidates that hold the same tensors as an earlier one."""
    distinct: list[Candidate] = []
    for candidate in candidates:
        if not any(_equal(candidate.state, other.state) for other in distinct):
            distinct.append(candidate)
    return distinct


def _equal(state: State, other: State) -> bool:
    return state.keys() == other.keys() and all(
        value.shape == other[name].shape
        and value.dtype == other[name].dtype
        and torch.equal(value, other[name])
        for name, value in state.items()
    )


def _preferred(
    candidates: list[Candidate], source_name: str, say: Callable[[str], None]
) -> Candidate:
    if len(candidates) == 1:
        return candidates[0]
    ranks = [_rank(candidate.label) for candidate in candidates]
    best = [
        candidate for candidate, rank in zip(candidates, ranks, strict=True) if rank == min(ranks)
    ]
    labels = [candidate.label or "the outermost" for candidate in candidates]
    if len(best) > 1:
        raise InputError(
            f"weights {source_name} hold several state dictionaries ({', '.join(labels[:6])}) that "
            f"fit alike; name one, as FILE#{best[0].label or labels[-1]}"
        )
    others = [label for label in labels if label != best[0].label]
    say(
        f"weights {source_name}: {best[0].label} is taken, as its authors' evaluation does; "
        f"{', '.join(others[:5])} would fit too (FILE#{others[0]} takes that)"
    )
    return best[0]


def _rank(label: str) -> int:
    if _AVERAGED.search(label):
        return 0
    return 2 if _SECONDARY.search(label) else 1


def _depth(candidate: Candidate) -> int:
    return len(candidate.label.split(".")) if candidate.label else 0


def _shape(tensor: Tensor) -> str:
    return "×".join(str(length) for length in tensor.shape) or "one number"


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
