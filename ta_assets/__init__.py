"""The asset graph of thought-anchor probes: what is computed, and in which cells."""
