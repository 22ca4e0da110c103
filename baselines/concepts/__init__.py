"""Segmented images: what is where in a picture, for baselines that compare units with concepts."""
