"""The same spans into ClickHouse (chdb), with the table that OpenTelemetry's exporter makes for traces.

`clickhouse.py prepare SPANS.jsonl FOLDER PASSES` writes blocks of columns in ClickHouse's own format, so that neither
parsing nor shaping is measured later; each pass has other ids and later times.
`clickhouse.py insert FOLDER` inserts them one by one into an empty table, waits until no merge is left, and prints JSON:
rows, user and system CPU seconds (merges included), seconds of inserting, peak resident bytes, bytes on disk.
ClickHouse acknowledges before anything is synced; nothing is received, decoded, or matched against rules here.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from chdb import session

BLOCK_ROWS = 10_000
WINDOW_SECONDS = 900

TEXT_MAP = "Map(LowCardinality(String), String)"
# Column, type, codec: as the exporter's schema has them.
COLUMNS = [
    ("Timestamp", "DateTime64(9)", "Delta, ZSTD(1)"),
    ("TraceId", "String", "ZSTD(1)"),
    ("SpanId", "String", "ZSTD(1)"),
    ("ParentSpanId", "String", "ZSTD(1)"),
    ("TraceState", "String", "ZSTD(1)"),
    ("SpanName", "LowCardinality(String)", "ZSTD(1)"),
    ("SpanKind", "LowCardinality(String)", "ZSTD(1)"),
    ("ServiceName", "LowCardinality(String)", "ZSTD(1)"),
    ("ResourceAttributes", TEXT_MAP, "ZSTD(1)"),
    ("ScopeName", "String", "ZSTD(1)"),
    ("ScopeVersion", "String", "ZSTD(1)"),
    ("SpanAttributes", TEXT_MAP, "ZSTD(1)"),
    ("Duration", "UInt64", "ZSTD(1)"),
    ("StatusCode", "LowCardinality(String)", "ZSTD(1)"),
    ("StatusMessage", "String", "ZSTD(1)"),
    ("Events.Timestamp", "Array(DateTime64(9))", "ZSTD(1)"),
    ("Events.Name", "Array(LowCardinality(String))", "ZSTD(1)"),
    ("Events.Attributes", f"Array({TEXT_MAP})", "ZSTD(1)"),
    ("Links.TraceId", "Array(String)", "ZSTD(1)"),
    ("Links.SpanId", "Array(String)", "ZSTD(1)"),
    ("Links.TraceState", "Array(String)", "ZSTD(1)"),
    ("Links.Attributes", f"Array({TEXT_MAP})", "ZSTD(1)"),
]
INDEXES = [
    ("TraceId", "bloom_filter(0.001)"),
    ("mapKeys(ResourceAttributes)", "bloom_filter(0.01)"),
    ("mapValues(ResourceAttributes)", "bloom_filter(0.01)"),
    ("mapKeys(SpanAttributes)", "bloom_filter(0.01)"),
    ("mapValues(SpanAttributes)", "bloom_filter(0.01)"),
    ("Duration", "minmax"),
]
NAMES = ", ".join(f"`{name}`" for name, _, _ in COLUMNS)


def table():
    columns = [f"`{name}` {kind} CODEC({codec})" for name, kind, codec in COLUMNS]
    indexes = [f"INDEX i{at} {what} TYPE {kind} GRANULARITY 1" for at, (what, kind) in enumerate(INDEXES)]
    return (
        f"CREATE TABLE otel_traces ({', '.join(columns + indexes)}) ENGINE = MergeTree PARTITION BY toDate(Timestamp) "
        "ORDER BY (ServiceName, SpanName, toDateTime(Timestamp)) "
        "SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1"
    )


def prepare(spans, folder, passes):
    structure = ", ".join(f"`{name}` {kind.replace('DateTime64(9)', 'Int64')}" for name, kind, _ in COLUMNS)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        db = session.Session(home)
        db.query(f"CREATE TABLE base ({structure}) ENGINE = MergeTree ORDER BY tuple()")
        db.query(f"INSERT INTO base SELECT * FROM file('{spans}', JSONEachRow, '{structure}')")
        rows = int(str(db.query("SELECT count() FROM base", "TSV")))
        for number in range(passes):
            nanos = number * WINDOW_SECONDS * 10**9
            changed = {
                "Timestamp": f"fromUnixTimestamp64Nano(Timestamp + {nanos})",
                "Events.Timestamp": f"arrayMap(t -> fromUnixTimestamp64Nano(t + {nanos}), `Events.Timestamp`)",
                "TraceId": f"concat('{number:04x}', substring(TraceId, 5))",
                "SpanId": f"concat('{number:04x}', substring(SpanId, 5))",
                "ParentSpanId": f"if(ParentSpanId = '', '', concat('{number:04x}', substring(ParentSpanId, 5)))",
            }
            fields = ", ".join(f"{changed[name]} AS `{name}`" if name in changed else f"`{name}`" for name, _, _ in COLUMNS)
            for first in range(0, rows, BLOCK_ROWS):
                path = folder / f"{number:04}-{first:08}.native"
                data = db.query(f"SELECT {fields} FROM base LIMIT {BLOCK_ROWS} OFFSET {first}", "Native").bytes()
                path.write_bytes(data)
        db.close()


def insert(folder):
    blocks = sorted(Path(folder).glob("*.native"))
    with tempfile.TemporaryDirectory() as home:
        db = session.Session(home)
        db.query(table())
        begun, used = time.monotonic(), cpu()
        for block in blocks:
            db.query(f"INSERT INTO otel_traces ({NAMES}) SELECT {NAMES} FROM file('{block}', Native)")
        seconds = time.monotonic() - begun
        ask = lambda question: int(str(db.query(question, "TSV")).strip() or 0)
        quiet = 0
        while quiet < 5:
            quiet = quiet + 1 if ask("SELECT count() FROM system.merges") == 0 else 0
            time.sleep(1)
        used = cpu() - used
        size = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'otel_traces'"
        said = {
            "rows": ask("SELECT count() FROM otel_traces"),
            "cpu_seconds": used,
            "seconds": seconds,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "disk_bytes": ask(size),
            "version": str(db.query("SELECT version()", "TSV")).strip(),
        }
        db.close()
    print(json.dumps(said), flush=True)


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    if sys.argv[1] == "prepare":
        prepare(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        insert(sys.argv[2])
