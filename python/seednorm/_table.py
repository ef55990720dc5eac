"""Tables for people, as text."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their longest cell, two spaces apart; numbers to the right, with four digits."""
    rows = [list(row) for row in rows]
    cells = [list(header)]
    cells += [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numbers = [bool(rows) and isinstance(rows[0][i], int | float) for i in range(len(header))]
    lines = []
    for row in cells:
        padded = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numbers, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
