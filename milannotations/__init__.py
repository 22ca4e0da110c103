"""What a neuron is, how it is stored, loaded and built."""
