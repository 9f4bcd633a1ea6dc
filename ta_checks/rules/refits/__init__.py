"""Fits done again by plain scikit-learn, on features that are built here."""
