"""Campaigns on disk: parts of rollouts, what fills them, and the process that grades.

Belongs here: files, processes, retries. Stays out: what follows from rollouts (``ta_assets.core.campaign``).
"""
