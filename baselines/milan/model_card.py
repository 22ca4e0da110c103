"""The model card: what a model is, what it has learned from, and how to use it."""

from __future__ import annotations

from baselines.milan.config import MilanConfig
from milannotations.page import markdown_environment

_CARD = """\
---
library_name: milannotations
tags: [interpretability, neurons, milan]
language: en
---
# A MILAN model

Describes a neuron of a vision network in words, from the images that activate it most (its
exemplars) and where in them it is activated (their masks). Architecture: *Natural Language
Descriptions of Deep Visual Features*, Hernandez et al., ICLR 2022 (arXiv 2201.11114).

```python
from baselines.milan import Milan
model = Milan.from_pretrained("FOLDER OR OWNER/NAME")
model.describe(neurons)          # a dataset of neuron records with {{ config.k }} exemplars each
```

| | |
| --- | --- |
| encoder | {{ config.encoder.model }}: {{ config.encoder.layers | join(", ") }} |
| masks | {{ config.encoder.masks }} |
| decoder | embedding {{ config.decoder.embedding }}, hidden {{ config.decoder.hidden }} |
| language model | {{ "none" if not config.language_model else "%d layers of %d" % \
(config.language_model.layers, config.language_model.hidden) }} |
| search | {{ config.decoding.strategy }}, beam {{ config.decoding.beam }}, \
PMI weight {{ config.decoding.pmi }}, {{ config.decoding.length }} tokens |
{% if config.trained_on %}
| trained on | {{ config.trained_on | in_words | plain }} |
{% endif %}
{% for name, value in config.training.items() %}
| {{ name | replace("_", " ") }} | {{ value | in_words | plain }} |
{% endfor %}

Descriptions are what people would probably write about the exemplars, not what the neuron computes.
The model only knows the words of its training data, and uses them for neurons of other kinds of
networks or images, too.
"""


def _in_words(value: object) -> str:
    """Return a fact about the training in words."""
    if isinstance(value, dict) and {"chosen", "reason", "weights", "identification"} <= {*value}:
        curve = zip(value["weights"], value["identification"], strict=True)
        shown = ", ".join(f"{auc:.3f} at {weight:g}" for weight, auc in curve)
        tail = f"; by λ: {shown}" if shown else ""
        return f"{value['chosen']:g}, {value['reason']}{tail}"
    return str(value)


def card(config: MilanConfig) -> str:
    """Return the model card of a configuration, as Markdown."""
    environment = markdown_environment()
    environment.filters["in_words"] = _in_words
    return environment.from_string(_CARD).render(config=config)
