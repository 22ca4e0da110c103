"""The paper's experiments: train on some networks, describe others, score, and tabulate."""
