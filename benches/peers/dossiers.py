"""The values of prepared dossiers, in DuckDB: dossiers.py FOLDER

FOLDER holds due.parquet and the tables of the registers. For each obligation, what each register says of each field: the
columns of the select of the form. They go into a table of DuckDB's own.
"""
import sys

import duckdb

from measured import measured

folder = sys.argv[1]
connection = duckdb.connect()
connection.execute("set preserve_insertion_order = false")

SQL = f"""
select
    due.subject_id,
    due.object_id,
    due.period,
    people.subject_id as identity_number,
    people.full_name as full_name__population,
    holders.full_name as full_name__transport,
    people.birth_date as birth_date__population,
    holders.birth_date as birth_date__transport,
    residents.sex,
    residents.residence as residence__population,
    residents.residence_confirmed_on as residence__population__as_of,
    licences.licence_number,
    licences.licence_class,
    licences.issued_on as licence_issued_on
from '{folder}/due.parquet' as due
left join '{folder}/people.parquet' as people on people.subject_id = due.subject_id
left join '{folder}/residents.parquet' as residents on residents.subject_id = due.subject_id
left join '{folder}/driving_licences.parquet' as licences on licences.licence_number = due.object_id
left join '{folder}/licence_holders.parquet' as holders on holders.licence_number = due.object_id
"""


def work():
    connection.execute(f"create table prepared as {SQL}")
    return connection.execute("select count(*) from prepared").fetchone()[0]


measured(work)
