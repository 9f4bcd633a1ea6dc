"""What samples rollouts: a language model in this process, one behind a server, or a script.

Belongs here: a prefix and seeds -> completions. Stays out: what a completion means, where it is kept (``campaigns``).
"""
