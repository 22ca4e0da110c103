"""Records written in the layout of the original release, which the original code reads."""
