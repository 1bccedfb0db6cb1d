"""From any picture to MNIST conditions."""
