"""The assets of studies that make their own rollouts: questions, traces, rollouts, labels."""
