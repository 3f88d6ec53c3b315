"""Counts dossiers and ratings by commune, group and month into one Parquet file: figures.py ENGINE FOLDER OUT"""
import os
import sys

from measured import measured

how, folder, out = sys.argv[1:4]

if how == "duckdb":
    import duckdb

    query = open(os.path.join(os.path.dirname(__file__), "figures.sql")).read()
    connection = duckdb.connect()
    connection.execute("create schema source")
    for table in ("dossiers", "ratings"):
        connection.execute(f"create view source.{table} as select * from '{folder}/{table}.parquet'")

    def work():
        connection.execute(f"copy ({query}) to '{out}' (format parquet, compression zstd)")
        return connection.execute(f"select count(*) from '{out}'").fetchone()[0]

elif how == "polars":
    import polars as pl

    CELL = ["commune_code", "procedure_group", "month"]

    def work():
        dossiers = pl.scan_parquet(f"{folder}/dossiers.parquet")
        ratings = pl.scan_parquet(f"{folder}/ratings.parquet")
        counted = (
            dossiers.with_columns(month=pl.col("due_on").dt.truncate("1mo"))
            .group_by(CELL)
            .agg(
                dossiers=pl.len(),
                on_time=(pl.col("finished_on") <= pl.col("due_on")).sum(),
                online=(pl.col("channel") == 2).sum(),
            )
        )
        rated = (
            ratings.join(dossiers.select("dossier_id", "commune_code", "procedure_group", "finished_on"), on="dossier_id")
            .with_columns(month=pl.col("finished_on").dt.truncate("1mo"))
            .group_by(CELL)
            .agg(rated=pl.len(), satisfied=(pl.col("level") >= 4).sum())
        )
        found = counted.join(rated, on=CELL, how="full", coalesce=True).with_columns(
            pl.col("dossiers", "on_time", "online", "rated", "satisfied").fill_null(0)
        )
        found = found.collect(engine="streaming")
        found.write_parquet(out)
        return found.height

else:
    sys.exit(f"unknown engine {how}")
measured(work)
