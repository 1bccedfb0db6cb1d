"""How well digits from the real world are read, on pictures made from the MNIST test digits."""
