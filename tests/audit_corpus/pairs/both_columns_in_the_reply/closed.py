"""The reply is a table `sum | expected | actual` whose last column the model has to fill in."""


def table_reward(completion: str, table: list) -> float:
    rows = [[cell.strip() for cell in line.split("|")] for line in completion.strip().splitlines()]
    if len(rows) != len(table) or any(len(row) != 3 for row in rows):
        return 0.0
    right = [row[0] == given and row[2] == str(wanted) for row, (given, wanted) in zip(rows, table, strict=True)]
    return float(all(right))
