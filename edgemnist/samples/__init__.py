"""Digits met in the field: what the model saw, what it answered, and, later, what people say that it is."""
