"""Checks that fit probes on shuffled labels."""
