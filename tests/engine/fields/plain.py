"""What tests of operators compare with, in plain Python."""

from __future__ import annotations


def like(text: str, pattern: str) -> bool:
    """Whether the whole of `text` is like `pattern`, letter by letter."""
    reached = {0}  # places in the pattern up to which the text so far may stand
    steps = _steps(pattern)
    reached = _skip(reached, steps)
    for letter in text:
        after = {place + 1 for place in reached if place < len(steps) and steps[place] in ("_", "=" + letter)}
        after |= {place for place in reached if place < len(steps) and steps[place] == "%"}
        reached = _skip(after, steps)
    return len(steps) in reached


def _skip(reached: set[int], steps: list[str]) -> set[int]:
    """With what % leaves out."""
    found = set(reached)
    for place in range(len(steps)):
        if place in found and steps[place] == "%":
            found.add(place + 1)
    return found


def _steps(pattern: str) -> list[str]:
    steps: list[str] = []
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            steps.append("=" + next(letters, "\\"))
        else:
            steps.append(letter if letter in "%_" else "=" + letter)
    return steps
