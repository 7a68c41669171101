"""Owns models that are nothing but numbers: their arrays, what evaluates these, and the proof that both are the model.

Takes a fitted model at registration, in its own environment; gives files of its package from which the front of an
endpoint answers exactly what the model would, byte for byte, without the model's libraries.
"""
