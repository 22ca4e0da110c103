"""Ground-truth neurons: rendered scenes, concepts with exact masks, and neurons made of them.

A world holds scenes; a scene records which object each pixel shows. A concept has an exact mask in
every scene and three ground-truth references, which a grammar wrote, not people. A synthetic neuron
responds to one concept, with controlled noise.
"""

from milannotations.worlds.concepts import (
    And,
    AndNot,
    Anything,
    Attribute,
    Background,
    Concept,
    Dead,
    OfObjects,
    Or,
    Polysemantic,
)
from milannotations.worlds.grammar import references
from milannotations.worlds.network import SyntheticNetwork, activation_map
from milannotations.worlds.neurons import LAYERS, SPLITS, SyntheticNeuron, synthetic_neurons
from milannotations.worlds.scenes import Object, Scene, make_scene, render
from milannotations.worlds.source import DEMO_SCENES, World
from milannotations.worlds.spatial import Part, Relation

__all__ = [
    "DEMO_SCENES",
    "LAYERS",
    "SPLITS",
    "And",
    "AndNot",
    "Anything",
    "Attribute",
    "Background",
    "Concept",
    "Dead",
    "Object",
    "OfObjects",
    "Or",
    "Part",
    "Polysemantic",
    "Relation",
    "Scene",
    "SyntheticNetwork",
    "SyntheticNeuron",
    "World",
    "activation_map",
    "make_scene",
    "references",
    "render",
    "synthetic_neurons",
]
