"""Measurements of the native engine."""
