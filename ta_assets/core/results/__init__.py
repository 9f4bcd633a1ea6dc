"""What is said of scores: cells, comparisons, aggregates, plans."""
