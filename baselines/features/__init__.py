"""Features of a pretrained network in the unmasked regions of exemplars."""
