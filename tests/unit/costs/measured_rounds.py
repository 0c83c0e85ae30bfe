"""What ``measure.sh`` prints."""

from collections.abc import Mapping


def measured(rounds: int = 5, **values: Mapping[str, float]) -> list[str]:
    """The lines of rounds that are alike: by runtime the value of each row."""
    return [line for _ in range(rounds) for line in one_round(**values)]


def one_round(**values: Mapping[str, float]) -> list[str]:
    """The lines of a round."""
    rows = (f"{name}\t{row}\t{value}" for name, of in values.items() for row, value in of.items())
    return [*rows, "round"]
