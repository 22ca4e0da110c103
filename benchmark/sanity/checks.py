"""The checks that a metric must pass before it may rank methods.

Every check places a description of known quality between a person's annotations assigned to wrong
neurons of the layer (0) and the same annotations at their own neurons (1). This scale is the same
for all metrics, and so are the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rule = Literal["at most", "at least"]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: Short name.
        rule: Which side of the bound is good.
        bound: On the scale from 0 (annotations at wrong neurons) to 1 (at their own).
        asks: The question that the check answers.
        required: Whether a metric that fails may not be the main metric of a board.
    """

    name: str
    rule: Rule
    bound: float
    asks: str
    required: bool = True

    def passes(self, value: float) -> bool:
        """Return whether a value is on the good side of the bound; NaN is not.

        >>> Check("repeated", "at most", 1.05, "Does repeating gain nothing?").passes(1.2)
        False
        """
        return value <= self.bound if self.rule == "at most" else value >= self.bound


PEOPLE = "people"
CONSTANT = "constant"
# An exploit may gain almost nothing; a change that removes part of a true description must cost at
# least a twentieth of its value, and a change that removes nothing at most a quarter.
CHECKS = (
    Check(
        CONSTANT,
        "at most",
        0.1,
        "Can it be won by one string for all neurons? The best is searched for among every word "
        "and every sentence of the references.",
    ),
    Check("all-words", "at most", 0.1, "Can it be won by listing every frequent word?"),
    Check(
        "neighbour",
        "at most",
        0.5,
        "Is the annotation of the layer's next neuron much worse than the neuron's own?",
    ),
    Check("repeated", "at most", 1.05, "Does saying it three times gain nothing?"),
    Check("truncated", "at most", 0.95, "Does it cost to say only the first half?"),
    Check("missing", "at most", 0.95, "Does it cost to leave out half of the content words?"),
    Check("extra", "at most", 0.95, "Does it cost to add another neuron's annotation?"),
    Check("paraphrased", "at least", 0.75, "Is the same in another frame worth about as much?"),
    Check(
        "negated",
        "at most",
        0.95,
        "Does it cost to say the opposite? Sentence encoders hardly see a negation, and nobody "
        "wins by one: a weakness to know, no reason to bar a metric.",
        required=False,
    ),
)
