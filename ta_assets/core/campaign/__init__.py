"""A campaign: rollouts of a language model from the beginnings of its own traces, and the labels that follow from them.

Belongs here: pure functions of token ids, texts and counts. Stays out: engines, files (``ta_resources``), Dagster.
"""
