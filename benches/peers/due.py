"""The five rules with contact look-up over one nation: due.py duckdb|polars FOLDER PARQUET

FOLDER holds persons.parquet, vehicles.parquet and licences.parquet. What is due from 22 November to 22 December 2026
is written to PARQUET, with the contacts of those who consent. DuckDB runs due.sql as it stands. Polars' SQL refuses
intervals of months: the same plan is written with its expressions.
"""
import os
import sys
from datetime import date

from measured import measured

how, folder, out = sys.argv[1:4]
FIRST, LAST = date(2026, 11, 22), date(2026, 12, 22)
if how == "duckdb":
    import duckdb

    sql = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "due.sql")).read()
    connection = duckdb.connect()
    # Its fastest way: the rows may come in any order.
    connection.execute("set preserve_insertion_order = false")
    for table in ("persons", "vehicles", "licences"):
        connection.execute(f"create view {table} as select * from '{folder}/{table}.parquet'")

    def work():
        copied = connection.execute(f"copy ({sql}) to '{out}' (format parquet, compression snappy)")
        return copied.fetchone()[0]

elif how == "polars":
    import polars as pl

    def scan(table):
        return pl.scan_parquet(f"{folder}/{table}.parquet")

    def due(rows, subject, item, due_on):
        found = rows.select(pl.col(subject).alias("subject_id"), pl.lit(item).alias("item"), due_on.alias("due_on"))
        return found.filter(pl.col("due_on").is_between(FIRST, LAST))

    def work():
        persons, vehicles, licences = scan("persons"), scan("vehicles"), scan("licences")
        parts = [
            due(persons, "person_id", "identity_card", pl.col("birth_date").dt.offset_by(f"{years}y"))
            for years in (25, 40, 60)
        ]
        inspected, is_car = pl.col("last_inspected"), pl.col("kind") == "car"
        parts.append(
            due(
                vehicles,
                "owner_id",
                "vehicle_inspection",
                pl.when(is_car & (2026 - pl.col("year_made") <= 7))
                .then(inspected.dt.offset_by("24mo"))
                .when(is_car)
                .then(inspected.dt.offset_by("12mo"))
                .otherwise(inspected.dt.offset_by("6mo")),
            )
        )
        issued, is_long = pl.col("issued"), pl.col("class").is_in(["B1", "B2"])
        parts.append(
            due(
                licences.filter(pl.col("class") != "A1"),
                "person_id",
                "driving_licence",
                pl.when(is_long).then(issued.dt.offset_by("10y")).otherwise(issued.dt.offset_by("5y")),
            )
        )
        contacts = persons.filter("consents").select("person_id", "province", "email", "phone", "language")
        found = pl.concat(parts).join(contacts, left_on="subject_id", right_on="person_id").collect(engine="streaming")
        found.write_parquet(out)
        return found.height

else:
    sys.exit(f"unknown engine {how}")
measured(work)
