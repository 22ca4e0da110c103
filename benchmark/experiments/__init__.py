"""The paper's experiments as commands: train here, describe there, score, tabulate."""
