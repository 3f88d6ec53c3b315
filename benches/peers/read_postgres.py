"""Reads the table persons into Arrow: read_postgres.py connectorx1|connectorx4|adbc

The address of the server is in CHUDONG_BENCH_URL, because it holds a password.
"""
import os
import sys

from measured import measured

how, url = sys.argv[1], os.environ["CHUDONG_BENCH_URL"]
query = "select * from persons"
if how.startswith("connectorx"):
    import connectorx
    import pyarrow  # noqa: F401  (connectorx imports it late)

    partitions = int(how.removeprefix("connectorx"))
    split = {"partition_on": "person_id", "partition_num": partitions} if partitions > 1 else {}
    measured(lambda: connectorx.read_sql(url, query, return_type="arrow", **split).num_rows)
elif how == "adbc":
    import adbc_driver_postgresql.dbapi as adbc
    import pyarrow  # noqa: F401

    def work():
        with adbc.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetch_arrow_table().num_rows

    measured(work)
else:
    sys.exit(f"unknown reader {how}")
