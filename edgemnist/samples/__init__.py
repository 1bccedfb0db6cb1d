"""Digits met in the field: what the model saw, what it answered and, later, how people labelled it."""
