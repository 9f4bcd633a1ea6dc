"""The study data that ships with the package: a tiny trained language model, real rollouts of it, and their makers.

Belongs here: the arithmetic task, the training and sampling code, and what they produced. Stays out: reading the
data for a study, which goes through the same resources as every other corpus.
"""
