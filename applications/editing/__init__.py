"""Editing: taking out of a network the units whose descriptions name a spurious feature."""
