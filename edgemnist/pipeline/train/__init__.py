"""Training the Keras MLP: recipes, augmentation and the loop."""
