"""Makes a synthetic nation as Parquet: make_nation.py PEOPLE DUE_AMONG FOLDER

Nothing is drawn: every value is a hash of its row's number, so that two runs give the same rows. DUE_AMONG is of how
many people something may be due from 22 November to 22 December 2026: of everybody who comes after them, the date
that would make it due lies three months earlier. With DUE_AMONG equal to PEOPLE about one in 45 has something due.
"""
import os
import sys

import duckdb

people, due_among, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
os.makedirs(folder, exist_ok=True)
connection = duckdb.connect()
connection.execute("set preserve_insertion_order = false")
INTO = "(format parquet, compression zstd, row_group_size 500000)"
WINDOW = "between date '2026-11-22' and date '2026-12-22'"


def make(table, rows, columns, name, is_due, many):
    date = f"case when i >= {many} and ({is_due}) then {name} - 91 else {name} end as {name}"
    inner = f"select i, {columns} from range({rows}) t(i)"
    target = os.path.join(folder, table + ".parquet")
    connection.execute(
        f"copy (select * exclude (i, {name}), {date} from ({inner})) to '{target}.part' {INTO}"
    )
    os.rename(target + ".part", target)


make(
    "persons",
    people,
    """i as person_id, (hash(i) % 34)::int as province, (hash(i + 7) % 3321)::int as commune,
    date '1930-01-01' + (hash(i * 3) % 35000)::int as birth_date, date '2015-01-01' + (hash(i * 5) % 4300)::int as id_issued,
    case when hash(i * 11) % 100 < 55 then 'p' || i || '@example.vn' end as email,
    '09' || lpad((i % 100000000)::varchar, 8, '0') as phone,
    case when hash(i * 13) % 100 < 95 then 'vi' else 'en' end as language, hash(i * 17) % 100 >= 3 as consents""",
    "birth_date",
    " or ".join(f"birth_date + interval '{years} years' {WINDOW}" for years in (25, 40, 60)),
    due_among,
)
make(
    "vehicles",
    people * 6 // 10,
    f"""i as vehicle_id,
    (hash(i * 19) % case when i < {due_among} * 6 // 10 then {due_among} else {people} end)::bigint as owner_id,
    ['car', 'lorry', 'trailer', 'coach'][1 + (hash(i * 23) % 4)::int] as kind,
    (1995 + hash(i * 29) % 31)::int as year_made, date '2024-01-01' + (hash(i * 31) % 1055)::int as last_inspected""",
    "last_inspected",
    " or ".join(f"last_inspected + interval '{months} months' {WINDOW}" for months in (6, 12, 24)),
    due_among * 6 // 10,
)
make(
    "licences",
    people * 5 // 10,
    f"""i as licence_id,
    (hash(i * 37) % case when i < {due_among} * 5 // 10 then {due_among} else {people} end)::bigint as person_id,
    ['A1', 'B1', 'B2', 'C', 'D', 'E'][1 + (hash(i * 41) % 6)::int] as class,
    date '2018-01-01' + (hash(i * 43) % 3300)::int as issued""",
    "issued",
    " or ".join(f"issued + interval '{years} years' {WINDOW}" for years in (5, 10)),
    due_among * 5 // 10,
)
