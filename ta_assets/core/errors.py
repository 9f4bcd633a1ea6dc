"""The one error for input that somebody can mend. Errors of our own making stay ordinary exceptions."""

from __future__ import annotations

MAX_VALUE_CHARACTERS = 120


class InputError(ValueError):
    """Input from outside (a study, a dataset file, a model folder, an artifact) is not what was expected.

    Attributes:
        source: the file, folder or address that holds the fault.
        field: where in it, as a path such as ``settings.pilot.problems`` or ``[3].chunk``.
        value: what was found there.
        expected: what should have been there, in words.
    """

    def __init__(self, source: object, field: str, value: object, expected: str) -> None:
        self.source, self.field, self.value, self.expected = str(source), field, value, expected
        shown = repr(value)
        if len(shown) > MAX_VALUE_CHARACTERS:
            shown = shown[: MAX_VALUE_CHARACTERS - 1] + "…"
        super().__init__(f"{source}: {field}: found {shown}, expected {expected}")
