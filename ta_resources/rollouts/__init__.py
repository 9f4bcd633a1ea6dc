"""Where problems and their rollouts come from."""
