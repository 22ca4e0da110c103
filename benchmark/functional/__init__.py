"""Scores that need no annotations: does a description predict what activates its neuron?"""
