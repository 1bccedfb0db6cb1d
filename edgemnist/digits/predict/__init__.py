"""Pictures of one digit each, and what a model answers."""
