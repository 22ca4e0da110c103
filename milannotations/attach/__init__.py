"""Attaching source images to records that came without: finding, cropping and storing them."""
