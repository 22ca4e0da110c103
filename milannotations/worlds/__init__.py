"""Ground-truth neurons: rendered scenes, concepts with exact masks, and neurons made of them."""

from milannotations.worlds.network import SyntheticNetwork, World, activation_map
from milannotations.worlds.neurons import LAYERS, SPLITS, SyntheticNeuron, synthetic_neurons
from milannotations.worlds.scenes import Object, Scene, make_scene, render

__all__ = [
    "LAYERS",
    "SPLITS",
    "Object",
    "Scene",
    "SyntheticNetwork",
    "SyntheticNeuron",
    "World",
    "activation_map",
    "make_scene",
    "render",
    "synthetic_neurons",
]
