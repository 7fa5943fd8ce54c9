"""Every error that a user can cause, each with its exit code and its remedy.

A message has up to four parts: what is wrong, what was expected, what came, and what to do about it.
Anything that is not a ``VisusError`` is a bug of visus and exits with 70.
"""

from __future__ import annotations


class VisusError(Exception):
    """Base of all errors that a user can cause.

    Args:
        problem: one line that says what is wrong, with the name of the file, field or option.
        expected: what would have been right.
        got: what came instead.
        remedy: what the user can do, as an imperative.
    """

    exit_code = 70

    def __init__(self, problem: str, *, expected: str = "", got: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.expected = expected
        self.got = got
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.problem]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.got:
            lines.append(f"  got:      {self.got}")
        if self.remedy:
            lines.append(f"  remedy:   {self.remedy}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Loader processes send their errors to the main process by pickle.
        return (_rebuild, (type(self), self.problem, self.expected, self.got, self.remedy))


def _rebuild(kind: type[VisusError], problem: str, expected: str, got: str, remedy: str) -> VisusError:
    return kind(problem, expected=expected, got=got, remedy=remedy)


class UsageError(VisusError):
    """A wrong option, argument or combination of them."""

    exit_code = 2


class UnknownModelError(UsageError):
    """No model, edition or composition of this name."""


class RecipeError(UsageError):
    """A recipe field that does not exist, or a value that it cannot take."""


class TaskMismatchError(UsageError):
    """A model, task or data set that do not fit one another."""


class ShapeError(UsageError):
    """An array or image whose shape the mathematics does not allow."""


class ExtensionError(UsageError):
    """An installed package whose additions to visus cannot be used."""


class MissingExtraError(UsageError):
    """An optional package that is not installed."""


class DivergedError(VisusError):
    """The loss became NaN or infinite."""

    exit_code = 3


class ExportError(VisusError):
    """An exported file that answers otherwise than the network it was made of."""

    exit_code = 1


class DataError(VisusError):
    """Images or labels that cannot be used."""

    exit_code = 4


class WeightsError(VisusError):
    """A model or weights file that is missing, corrupt, foreign, or of another network."""

    exit_code = 5


class MemoryExhaustedError(VisusError):
    """The batch does not fit into the memory of the device."""

    exit_code = 6


class DiskError(VisusError):
    """A file that cannot be written: the disk is full, or the folder is not ours."""

    exit_code = 74


class InterruptedRunError(VisusError):
    """A training that a signal ended; its checkpoint is complete. ``exit_code`` is 128 + the signal's number."""

    exit_code = 130

    @classmethod
    def by_signal(cls, signal_number: int, problem: str, *, remedy: str) -> InterruptedRunError:
        error = cls(problem, remedy=remedy)
        error.exit_code = 128 + signal_number
        return error
