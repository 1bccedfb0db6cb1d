"""Measurements of the product against its figures and against what a user would pick instead."""
