"""Pages to look at: every unit of a dataset with its exemplars, activations and words."""
