"""CLIP-Dissect: the text whose similarity to images follows the activation of a unit."""
