"""Digits and a model that reads them."""

from tests.vision import classifier, digits

__all__ = ["classifier", "digits"]
