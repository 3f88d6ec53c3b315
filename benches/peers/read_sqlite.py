"""Reads an SQLite file of persons: read_sqlite.py connectorx1|connectorx4|duckdb FILE [PARQUET]

Into Arrow, or into zstd Parquet where a file is named. DuckDB is run by the environment venv-sqlite.
"""
import sys

from measured import measured

how, source, target = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None
if how.startswith("connectorx"):
    import connectorx
    import pyarrow.parquet

    partitions = int(how.removeprefix("connectorx"))
    split = {"partition_on": "person_id", "partition_num": partitions} if partitions > 1 else {}

    def work():
        table = connectorx.read_sql(f"sqlite://{source}", "select * from persons", return_type="arrow", **split)
        if target:
            pyarrow.parquet.write_table(table, target, compression="zstd")
        return table.num_rows

    measured(work)
elif how == "duckdb":
    import pathlib

    import duckdb
    import duckdb_extension_sqlite_scanner
    import pyarrow  # noqa: F401

    extensions = pathlib.Path(duckdb_extension_sqlite_scanner.__file__).parent / "extensions"
    extension = extensions / f"v{duckdb.__version__}" / "sqlite_scanner.duckdb_extension"
    connection = duckdb.connect()
    connection.execute(f"load '{extension}'")
    connection.execute("set preserve_insertion_order = false")
    query = f"select * from sqlite_scan('{source}', 'persons')"

    def work():
        if target:
            copied = connection.execute(f"copy ({query}) to '{target}' (format parquet, compression zstd)")
            return copied.fetchone()[0]
        return connection.execute(query).to_arrow_table().num_rows

    measured(work)
else:
    sys.exit(f"unknown reader {how}")
