"""Checks of extracted vectors."""
