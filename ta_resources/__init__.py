"""The world outside: where problems come from, the language model, the disk. Typed, configured, replaceable."""
