"""The exemplar builder: from a network and images to neuron records."""
