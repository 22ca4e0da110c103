"""Describers: things that turn exemplars into words."""
