"""The references that a description is scored against: all but one annotation, or all of them.

A person can only be scored against other people's annotations of the same neuron. To give every
method the same number of references, *all* methods are by default scored with one annotation held
out, each annotation in turn; one such turn is a fold.

The code of the MILAN paper scores a description against all annotations of its neuron at once. This
is the protocol ``original``, for values that are compared with the paper's. It cannot score people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from benchmark.tokenization import normalize
from milannotations.errors import InputError, did_you_mean

Protocol = Literal["held-out", "original"]
HELD_OUT: Protocol = "held-out"
ORIGINAL: Protocol = "original"
PROTOCOL_HELP = (
    "References of a neuron: held-out leaves one out, each in turn, so that people can be scored "
    "too; original takes all at once, as the MILAN paper's code does"
)
RULES: dict[Protocol, str] = {
    HELD_OUT: "leave one annotation out, each in turn",
    ORIGINAL: "all annotations at once",
}
# Number of annotations that a neuron needs to be scored.
_NEEDED: dict[Protocol, int] = {HELD_OUT: 2, ORIGINAL: 1}


@dataclass(frozen=True)
class Fold:
    """One turn of holding out an annotation.

    Attributes:
        held_out: The annotation held out, one per neuron, as it was written; an empty text if none
            is held out.
        references: The other annotations, normalized, one non-empty list per neuron.

    >>> Fold(held_out=["A dog."], references=[["dogs"]]).references
    [['dogs']]
    """

    held_out: list[str]
    references: list[list[str]]


def check_protocol(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        InputError: If no protocol has that name.
    """
    for protocol in RULES:
        if protocol == name:
            return protocol
    choices = get_args(Protocol)
    raise InputError(
        f"no protocol is named {name!r}{did_you_mean(name, choices)}; choose {' or '.join(choices)}"
    )


def signed(signature: str, protocol: Protocol) -> str:
    """Return a metric's signature under a protocol; two protocols never share a signature.

    >>> signed("bleu|tok:13a", "original")
    'bleu|tok:13a|protocol:original'
    """
    # The default protocol is not named, so that signatures of earlier results stay valid.
    return signature if protocol == HELD_OUT else f"{signature}|protocol:{protocol}"


def usable(annotations: Sequence[str]) -> list[str]:
    """Return the annotations that are not empty after normalization.

    >>> usable(["a dog", " . ", ""])
    ['a dog']
    """
    return [text for text in annotations if normalize(text)]


def scorable(annotations: Sequence[Sequence[str]], protocol: Protocol = HELD_OUT) -> list[int]:
    """Return the positions of the neurons with enough usable annotations.

    Two are needed if one is held out, and one if all are references.

    >>> scorable([["a dog", "dogs"], ["a cat"]]), scorable([["a dog"], [" . "]], "original")
    ([0], [0])
    """
    needed = _NEEDED[protocol]
    return [i for i, texts in enumerate(annotations) if len(usable(texts)) >= needed]


def folds_of(annotations: Sequence[Sequence[str]], protocol: Protocol = HELD_OUT) -> list[Fold]:
    """Return the folds of a protocol; ``annotations`` are those of scorable neurons."""
    return leave_one_out(annotations) if protocol == HELD_OUT else all_at_once(annotations)


def all_at_once(annotations: Sequence[Sequence[str]]) -> list[Fold]:
    """Return the one fold in which every usable annotation is a reference.

    The original code pairs the first, second, … references of all neurons, and so drops references
    for which another neuron has no counterpart; here every neuron keeps all of its references.

    Raises:
        ValueError: If a neuron has no usable annotation.

    >>> all_at_once([["a", "B.", ""]])
    [Fold(held_out=[''], references=[['a', 'b']])]
    """
    references = [[normalize(text) for text in usable(texts)] for texts in annotations]
    if not all(references):
        raise ValueError("every neuron needs an annotation; see scorable()")
    return [Fold([""] * len(references), references)] if references else []


def leave_one_out(annotations: Sequence[Sequence[str]]) -> list[Fold]:
    """Hold out each annotation in turn.

    Args:
        annotations: Two or more usable annotations of each neuron; the numbers may differ. The
            number of folds is the largest number of annotations; a neuron with fewer annotations
            starts again with its first.

    Raises:
        ValueError: If a neuron has fewer than two usable annotations.

    >>> leave_one_out([["a", "b", "c"]])[1]
    Fold(held_out=['b'], references=[['a', 'c']])
    """
    texts = [usable(t) for t in annotations]
    if any(len(t) < 2 for t in texts):
        raise ValueError("every neuron needs two annotations or more; see scorable()")
    folds = []
    for turn in range(max((len(t) for t in texts), default=0)):
        out = [turn % len(t) for t in texts]
        folds.append(
            Fold(
                held_out=[t[o] for t, o in zip(texts, out, strict=True)],
                references=[
                    [normalize(r) for i, r in enumerate(t) if i != o]
                    for t, o in zip(texts, out, strict=True)
                ],
            )
        )
    return folds
