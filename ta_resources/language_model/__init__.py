"""The language model: loading, forward passes, pooling."""
