"""`edgemnist train-likeness`: make the network that tells digits from everything else, and the threshold of `read`.

`synthetic` draws and photographs digits, letters and pages, `harvest` takes pages apart as reading does, `pictures` is
all that the network learns from, `network` the network in Keras, `calibrate` its threshold; `run` is all of that in a
row. What it writes ships with the package: `edgemnist/read/likeness.tflite`, `likeness.json` and `calibration.json`.
"""
