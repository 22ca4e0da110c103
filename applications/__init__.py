"""Applications of descriptions: what one learns of a network from them, and does to it."""
