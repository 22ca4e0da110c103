"""Submissions: reading, checking, scoring, verifying and reviewing them."""
