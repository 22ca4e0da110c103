"""What networks are run on: images, or latents of generators."""
