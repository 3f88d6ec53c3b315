"""Makes one month of a nation as Parquet, as it stands in staging: make_month.py DOSSIERS RATINGS FOLDER

Nothing is drawn: every value is a hash of its row's number. 3,321 communes of unequal size, 3,000 procedures in 300
groups, about three dossiers for two people; ratings are counted by cell and level, as their intake keeps them.
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


COMMUNE = "lpad((60001 + least(hash(i * 3) % 3321, hash(i * 5) % 3321))::varchar, 5, '0')"
make(
    "procedures",
    """select '1.' || lpad(i::varchar, 6, '0') as procedure_code,
        'group_' || lpad((i % 300)::varchar, 3, '0') as procedure_group
    from range(3000) t(i)""",
)
make(
    "dossiers",
    f"""select 'D' || lpad(i::varchar, 9, '0') as dossier_id,
        'S' || lpad((hash(i * 23) % ({dossiers} * 2 // 3))::varchar, 9, '0') as subject_id,
        {COMMUNE} as commune_code,
        '1.' || lpad((hash(i * 7) % 3000)::varchar, 6, '0') as procedure_code,
        10::bigint as status,
        date '2026-10-01' + (hash(i * 11) % 31)::int as due_on,
        date '2026-10-01' + (hash(i * 11) % 31)::int - 8 + (hash(i * 13) % 10)::int as finished_on,
        1 + (hash(i * 17) % 2)::bigint as channel
    from range({dossiers}) t(i)""",
)
make(
    "ratings",
    f"""select '2026-10' as month, commune_code, procedure_group, level, count(*) as ratings,
        'overall' as question, 5::bigint as scale, true as is_counted
    from (
        select {COMMUNE} as commune_code, 'group_' || lpad((hash(i * 7) % 300)::varchar, 3, '0') as procedure_group,
            5 - least(hash(i * 19) % 5, hash(i * 29) % 5)::bigint as level
        from range({ratings}) t(i)
    )
    group by all""",
)
