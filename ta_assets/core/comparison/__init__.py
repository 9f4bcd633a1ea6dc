"""The comparison of probes with what is known without activations: rows, verdicts, claims."""
