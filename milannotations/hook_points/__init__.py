"""Hook points: where the units of a layer are in a network, and how they are read and changed."""
