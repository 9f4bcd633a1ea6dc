"""Checks of problems, splits and labels."""
