"""Results in, one self-contained page out."""
