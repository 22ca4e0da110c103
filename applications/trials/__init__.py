"""The three applications on rendered images, from training on, with several seeds."""
