"""CLIP-Dissect: the text whose similarity to images goes with a unit's activation."""
