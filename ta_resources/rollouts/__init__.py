"""Where problems and their rollouts come from."""

from ta_resources.rollouts.resource import RolloutsResource

__all__ = ["RolloutsResource"]
