"""Pictures as cameras, scanners and pens make them, from MNIST digits, fonts and seeds: the same ones every time."""
