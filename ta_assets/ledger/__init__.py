"""What Dagster recorded, and what each asset is made from now."""
