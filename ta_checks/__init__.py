"""What must be true before a result may be believed."""
