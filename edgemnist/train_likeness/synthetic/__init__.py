"""Pictures as cameras, scanners and pens make them, from handwritten digits, fonts and seeds: the same ones always."""
