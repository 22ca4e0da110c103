"""Sparse autoencoders, whose latents are units, and the file formats they are read from."""
