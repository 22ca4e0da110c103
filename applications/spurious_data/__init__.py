"""Images with a spurious cue: it goes with the class in training, and misleads in tests."""
