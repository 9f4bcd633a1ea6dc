"""Metrics, resampling, intervals, power and label noise."""
