"""Features and the models that are fitted on them."""
