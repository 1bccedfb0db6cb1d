"""Make the network that tells digits from everything else, and the threshold of `read`.

    python -m tools.likeness --data mnist --out edgemnist/digits/read

`camera`, `fonts`, `strokes` and `page` draw and photograph digits, letters and pages; the benchmarks and tests of
`read` use them, too. `drawings`, `hands` and `harvest` make of them what the network learns from, which `pictures` puts
together. `network` is the network in Keras, and `make` the way from a data set to the three files that ship with the
package: `edgemnist/digits/read/likeness.tflite`, `likeness.json` and `calibration.json`.
"""
