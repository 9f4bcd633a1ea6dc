"""Traces: sentences, labels, token spans, splits."""
