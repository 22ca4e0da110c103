"""Web pages that show every unit of a dataset with its exemplars, activations and words."""
