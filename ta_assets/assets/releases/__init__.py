"""What a release judges and keeps of itself, beside its checks."""
