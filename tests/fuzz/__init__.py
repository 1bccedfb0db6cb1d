"""Broken input for every parser: each ends in a sentence, within 2 seconds of the processor and 300 MB."""
