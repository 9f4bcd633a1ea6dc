"""The science: labels, spans, pooling, probes, metrics, intervals. No Dagster, no files, no globals; usable alone."""
