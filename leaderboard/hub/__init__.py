"""A board on a hub: its data as a dataset repository, its site as a static Space."""
