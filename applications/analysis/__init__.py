"""Analysis: what the units of each layer are described as, and which of them matter."""
