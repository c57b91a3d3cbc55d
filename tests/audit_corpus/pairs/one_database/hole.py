"""Write one SQL query. It is run on a small database in memory."""

import sqlite3


def rows_of(query, sales):
    base = sqlite3.connect(":memory:")
    base.execute("create table sales (item text, coins integer)")
    base.executemany("insert into sales values (?, ?)", sales)
    base.execute("pragma query_only = on")
    base.set_progress_handler(lambda: 1, 200_000)
    try:
        return base.execute(query).fetchall()
    except (sqlite3.Error, sqlite3.Warning, UnicodeError, ValueError):
        return None
    finally:
        base.close()


def query_reward(completion: str, sales: list, more_sales: list, answer: str) -> float:
    bases = [sales]
    return float(all(rows_of(completion, base) == rows_of(answer, base) for base in bases))
