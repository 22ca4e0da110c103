"""Runs of all commands that are killed or in odd surroundings, and their outcomes."""
