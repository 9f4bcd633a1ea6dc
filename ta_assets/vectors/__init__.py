"""From a corpus to stored vectors, and from those to rows that probes read."""
