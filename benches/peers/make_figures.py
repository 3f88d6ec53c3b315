"""Makes a nation's dossiers and ratings of one year as Parquet: make_figures.py DOSSIERS RATINGS FOLDER

Nothing is drawn: every value is a hash of its row's number, so that two runs give the same rows. 3,321 communes of
unequal size, 300 procedure groups, twelve months; each rating is of another dossier.
"""
import os
import sys

import duckdb

dossiers, ratings, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
os.makedirs(folder, exist_ok=True)
connection = duckdb.connect()
connection.execute("set preserve_insertion_order = false")
INTO = "(format parquet, compression zstd, row_group_size 500000)"


def make(table, query):
    target = os.path.join(folder, table + ".parquet")
    connection.execute(f"copy ({query}) to '{target}.part' {INTO}")
    os.rename(target + ".part", target)


NUMBER = "'D' || lpad((i * 7919 % {dossiers})::varchar, 9, '0')".format(dossiers=dossiers)
make(
    "dossiers",
    f"""select 'D' || lpad(i::varchar, 9, '0') as dossier_id,
        lpad((60001 + least(hash(i * 3) % 3321, hash(i * 5) % 3321))::varchar, 5, '0') as commune_code,
        'group_' || lpad((hash(i * 7) % 300)::varchar, 3, '0') as procedure_group,
        date '2025-11-01' + (hash(i * 11) % 365)::int as due_on,
        date '2025-11-01' + (hash(i * 11) % 365)::int - 3 + (hash(i * 13) % 4)::int as finished_on,
        1 + (hash(i * 17) % 2)::bigint as channel
    from range({dossiers}) t(i)""",
)
make(
    "ratings",
    f"""select {NUMBER} as dossier_id, 1 + (hash(i * 19) % 5)::bigint as level from range({ratings}) t(i)""",
)
