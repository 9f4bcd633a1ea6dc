"""The verdict's rows, report and formats."""
