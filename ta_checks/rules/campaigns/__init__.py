"""Checks of rollouts that are made here: from the files of rollouts, by code of their own."""
