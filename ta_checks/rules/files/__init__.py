"""Checks of stored files."""
