"""Make the network that reads strips: digits that touch one another or rules, signs, wheels and displays.

    python -m tools.strips --data mnist --out edgemnist/digits/read

`draw` draws strips with the truth about every column, `network` is the network in Keras, and `make` the way to the two
files that ship with the package: `strips.tflite` and `strips.json`.
"""
