"""The jobs: release, sweep, and the runs inside them."""
