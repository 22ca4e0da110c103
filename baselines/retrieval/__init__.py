"""Nearest-neighbour retrieval: the annotation of the most similar training neuron."""
