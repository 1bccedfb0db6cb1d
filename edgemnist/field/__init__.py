"""What a model meets in use: `samples`, `review`, `learn`, counts of answers (`drift`), `health`, and the `shadow`.

It imports `pipeline` and what lies below.
"""
