"""Checks of single cells and of the mean over them."""
