"""How good a dataset of neuron records is: counts, text, exemplars, agreement of annotators."""
