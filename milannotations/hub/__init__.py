"""Putting dataset folders on a hub: one repository, one config per network, one commit."""
