"""A model as it is deployed: runtimes, the native engine, the export directory, its task, and its answers.

It imports `ground` and what lies below.
"""
