"""The ground of the services: who may ask, and how much."""
