"""The proof that the gate holds: planted faults, kills, malformed input."""
