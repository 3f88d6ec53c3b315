-- One row per dossier that had a due day, with the person, the month in which it was due, and how it was handled.
--
-- A dossier counts in the month in which it was due, not in the one in which it
-- was received or finished: when that month has closed, everybody knows whether
-- the dossier was late, and the answer does not change when it is finished later.
-- A dossier that is not finished when its month closes was not on time.
--
-- Left out, because no due day binds the agency: dossiers that were refused
-- (status 3, Không được tiếp nhận), that the person withdrew (status 7, Công dân
-- yêu cầu rút hồ sơ), and those without a due day (due_on, NgayHenTra). A dossier
-- whose procedure is unknown stays in, with a blank: bounding leaves it out and
-- counts it.
--
-- grain:   record_id
-- private: record_id, subject_id, month, is_on_time, is_online
with

dossiers as (
    select * from staging.dossiers
),

procedures as (
    select * from codes.procedures
),

due_dossiers as (
    select * from dossiers
    where due_on is not null
        and status not in (3, 7)
),

handled_dossiers as (
    select
        due_dossiers.dossier_id as record_id,
        due_dossiers.subject_id,
        to_char(due_dossiers.due_on, '%Y-%m') as month,
        due_dossiers.commune_code,
        procedures.procedure_group,
        coalesce(due_dossiers.finished_on <= due_dossiers.due_on, false) as is_on_time,
        -- KenhThucHien: 1 at the counter, 2 online, 3 by public post; a blank is not online.
        coalesce(due_dossiers.channel = 2, false) as is_online
    from due_dossiers
    left join procedures on due_dossiers.procedure_code = procedures.procedure_code
)

select * from handled_dossiers
