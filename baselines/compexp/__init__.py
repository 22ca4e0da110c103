"""Compositional Explanations (Mu and Andreas, NeurIPS 2020): units as formulas over labels."""
