"""Text and sentences -> pooled activations of a language model."""

from ta_resources.language_model.resource import LanguageModelResource

__all__ = ["LanguageModelResource"]
