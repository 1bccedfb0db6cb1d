"""The promises of `edgemnist.pipeline.data`."""
