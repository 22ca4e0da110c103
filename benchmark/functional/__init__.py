"""Metrics that need no annotations: how well a description predicts its neuron's responses."""
