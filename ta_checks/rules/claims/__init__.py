"""Checks of the comparison and of the deferral plan."""
