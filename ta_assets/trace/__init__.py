"""From a number or a file back to data, code and configuration."""
