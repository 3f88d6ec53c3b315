"""Turns a CSV file of persons into zstd Parquet with declared types: read_csv.py duckdb|duckdb_sorted|polars CSV PARQUET"""
import sys

from measured import measured

how, source, target = sys.argv[1:4]
if how in ("duckdb", "duckdb_sorted"):
    import duckdb

    columns = {
        "person_id": "bigint",
        "province": "bigint",
        "commune": "bigint",
        "birth_date": "date",
        "id_issued": "date",
        "email": "varchar",
        "phone": "varchar",
        "language": "varchar",
        "consents": "boolean",
    }
    # Its fastest way: the rows may come in any order.
    order = "order by birth_date, person_id" if how == "duckdb_sorted" else ""

    def work():
        connection = duckdb.connect()
        connection.execute("set preserve_insertion_order = false")
        copied = connection.execute(
            f"copy (select * from read_csv('{source}', header = true, columns = {columns}) {order})"
            f" to '{target}' (format parquet, compression zstd)"
        )
        return copied.fetchone()[0]

    measured(work)
elif how == "polars":
    import polars as pl

    schema = {
        "person_id": pl.Int64,
        "province": pl.Int64,
        "commune": pl.Int64,
        "birth_date": pl.Date,
        "id_issued": pl.Date,
        "email": pl.String,
        "phone": pl.String,
        "language": pl.String,
        "consents": pl.Boolean,
    }

    def work():
        pl.scan_csv(source, schema=schema).sink_parquet(target, compression="zstd", maintain_order=False)
        return pl.scan_parquet(target).select(pl.len()).collect().item()

    measured(work)
else:
    sys.exit(f"unknown reader {how}")
