"""The values of a recommendation over five options, in DuckDB: options.py FOLDER

FOLDER holds due.parquet and identities.parquet. For each obligation and option: whether it is open, by which status the
person pays, what it costs, whether it is ready in time; which of those left is beaten by another, and which comes first
by cost, visits, days, papers. The recommended options go into a table of DuckDB's own.
"""
import sys

import duckdb

from measured import measured

folder = sys.argv[1]
connection = duckdb.connect()
connection.execute("set preserve_insertion_order = false")

# id, via, cost by status (none where a part of it is not known), visits, working days, papers, ready on: filed on Monday
# the 23rd, two days after the letter.
OPTIONS = """
    values ('agent', 'counter', 180000, 180000, 1, 4, 1, date '2026-11-27'),
           ('counter', 'counter', 135000, null, 2, 5, 3, date '2026-11-30'),
           ('online', 'online', null, null, 0, 7, 1, date '2026-12-02'),
           ('post', 'post', null, null, 1, 9, 3, date '2026-12-04'),
           ('vneid', 'online', null, null, 0, 7, 0, date '2026-12-02')
"""

SQL = f"""
with ways as (
    select * from ({OPTIONS}) as t (option_id, via, standard_vnd, digital_vnd, visits, days, papers, ready_on)
),
known as (
    select due.subject_id, due.object_id, due.period, due.due_on, identities.level,
           identities.level >= 2 and identities.documents >= 5 as is_integrated
    from '{folder}/due.parquet' as due
    left join '{folder}/identities.parquet' as identities on identities.subject_id = due.subject_id
    where due.fulfilled_on is null
),
offered as (
    select known.subject_id, known.object_id, known.period, ways.option_id, visits, days, papers,
           case when ways.via = 'online' and level < 2 then 'no_level_2'
                when ways.option_id = 'vneid' and is_integrated is null then 'identity_unknown'
                when ways.option_id = 'vneid' and not is_integrated then 'not_integrated' end as reason,
           case when is_integrated then digital_vnd else standard_vnd end as vnd,
           ready_on <= due_on as is_in_time
    from known cross join ways
),
left_over as (
    select * from offered where reason is null and is_in_time
),
grouped as (
    select subject_id, object_id, period,
           list({{'id': option_id, 'vnd': vnd, 'visits': visits, 'days': days, 'papers': papers}}) as options
    from left_over
    group by subject_id, object_id, period
),
judged as (
    select subject_id, object_id, period,
           list_filter(options, lambda one: len(list_filter(options, lambda other:
               other.vnd <= one.vnd and other.visits <= one.visits and other.days <= one.days
               and other.papers <= one.papers
               and (other.vnd < one.vnd or other.visits < one.visits or other.days < one.days
                    or other.papers < one.papers))) = 0) as options
    from grouped
)
-- The best of those whose cost is known, or the best of the others, whichever is better in the rest.
select subject_id, object_id, period,
       list_sort(list_transform(
           list_concat(
               list_sort(list_filter(list_transform(options, lambda one:
                   {{'vnd': one.vnd, 'visits': one.visits, 'days': one.days, 'papers': one.papers, 'id': one.id}}),
                   lambda one: one.vnd is not null))[1:1],
               list_filter(list_transform(options, lambda one:
                   {{'vnd': one.vnd, 'visits': one.visits, 'days': one.days, 'papers': one.papers, 'id': one.id}}),
                   lambda one: one.vnd is null)),
           lambda one: {{'visits': one.visits, 'days': one.days, 'papers': one.papers, 'id': one.id}}))[1].id as recommended
from judged
"""


def work():
    connection.execute(f"create table recommended as {SQL}")
    return connection.execute("select count(*) from recommended").fetchone()[0]


measured(work)
