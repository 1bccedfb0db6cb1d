"""A new release that answers beside the one that serves, on the same images, before it takes over."""
