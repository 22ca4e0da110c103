"""Auditing: which units of networks are described with some words, and how sure that is."""
