"""Submissions: what is sent in, what may be wrong with it, and what it is worth."""
