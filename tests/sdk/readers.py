#!/usr/bin/env python3
"""Reads the tables with deltalake, polars and DuckDB while the server runs and compares them with the server's own SQL.

Usage: readers.py DATA_DIRECTORY API_ADDRESS TABLE=EXPECTED_ROWS ...

Call it after a flush. Exits 1 and names each difference.
"""
import json
import os
import sys
import urllib.request

import duckdb
import polars
from deltalake import DeltaTable

CHECKSUMS = {
    "spans": ("duration_ns", "SUM(duration_ns)"),
    "logs": ("severity_number", "SUM(severity_number)"),
    "metrics": ("flags", "SUM(flags)"),
}


def sql(api, query):
    body = json.dumps({"query": query}).encode()
    request = urllib.request.Request(f"http://{api}/api/v1/sql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["rows"][0]


def counts(path, column):
    table = DeltaTable(path)
    files = [uri.removeprefix("file://") for uri in table.file_uris()]
    arrow = table.to_pyarrow_table(columns=[column])
    yield "deltalake", arrow.num_rows, sum(value.as_py() for value in arrow.column(column))
    frame = polars.scan_delta(path).select(polars.len().alias("n"), polars.col(column).sum().alias("s")).collect()
    yield "polars", frame["n"][0], frame["s"][0]
    query = f"SELECT COUNT(*), SUM({column}) FROM read_parquet({files!r}, hive_partitioning = true)"
    [(n, total)] = duckdb.sql(query).fetchall()
    yield "duckdb", n, total


def main():
    data, api = sys.argv[1:3]
    differences = 0
    for wanted in sys.argv[3:]:
        table, rows = wanted.split("=")
        column, expression = CHECKSUMS[table]
        ours = sql(api, f"SELECT COUNT(*), {expression} FROM {table}")
        wanted_pair = (int(rows), int(ours[1]))
        if int(ours[0]) != int(rows):
            print(f"{table}: SQL counts {ours[0]}, expected {rows}")
            differences += 1
        for reader, count, total in counts(os.path.join(data, "data", "default", table), column):
            print(f"{table} {reader}: {count} rows, {column} sums to {total}")
            if (count, int(total)) != wanted_pair:
                print(f"  differs from {wanted_pair}")
                differences += 1
    sys.stdout.flush()
    # The libraries' threads may still run: an ordinary exit now and then aborts in them, which says nothing of a table.
    os._exit(1 if differences else 0)


if __name__ == "__main__":
    main()
