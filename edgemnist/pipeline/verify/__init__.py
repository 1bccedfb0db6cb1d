"""Parity of the artifacts with the Keras model: numbers and gates."""
