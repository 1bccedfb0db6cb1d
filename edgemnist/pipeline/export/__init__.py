"""From a Keras model to artifacts, each checked in its runtime, the golden pack and the manifest that records them."""
