"""Masked exemplars as PNG files, and a JSON list of units with descriptions."""
