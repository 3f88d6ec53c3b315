-- One row per dossier that had a due day, with the person, the month in which it was due, and how it was handled.
--
-- A dossier counts in the month in which it was due, not in the one in which it
-- was received or finished: when that month has closed, everybody knows whether
-- the dossier was late, and the answer does not change when it is finished later.
-- A dossier that is not finished when its month closes was not on time.
--
-- On time is what it is in indices.settled (2.1 of the description of Decision 766's formulas), with the last day of
-- the month of the due day for $until: it ends when processing was done, else when its header or its progress says;
-- the working days between a request for a supplement and its completion, as far as the dossier's end, move its due
-- day; one that waits for its only supplement is judged by the day of the request; more than one request is late.
-- That is a little stricter on one day: what is open at the end of its very due day is late here.
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

steps as (
    select * from staging.dossier_steps
),

supplements as (
    select * from staging.dossier_supplements
),

procedures as (
    select * from codes.procedures
),

due_dossiers as (
    select * from dossiers
    where due_on is not null
        and status not in (3, 7)
),

-- The first day of each status that ends a dossier, as far as it is seen by the end of its month.
progress as (
    select
        due_dossiers.dossier_id,
        min(case when steps.status = 9 then steps.happened_on end) as done_on,
        min(case when steps.status = 10 then steps.happened_on end) as returned_on,
        min(case when steps.status in (3, 8) then steps.happened_on end) as stopped_on,
        min(case when steps.status = 7 then steps.happened_on end) as withdrawn_on
    from steps
    join due_dossiers on steps.dossier_id = due_dossiers.dossier_id
    where steps.happened_on <= last_day_of_month(due_dossiers.due_on)
    group by due_dossiers.dossier_id
),

ended_dossiers as (
    select
        due_dossiers.*,
        coalesce(
            progress.done_on, due_dossiers.finished_on, progress.returned_on, progress.stopped_on, progress.withdrawn_on
        ) as ended_on
    from due_dossiers
    left join progress on due_dossiers.dossier_id = progress.dossier_id
),

-- Only few dossiers have supplements: the days are computed for these alone.
asked_dossiers as (
    select
        ended_dossiers.dossier_id,
        ended_dossiers.due_on,
        last_day_of_month(ended_dossiers.due_on) as last_day,
        case when ended_dossiers.ended_on <= last_day_of_month(ended_dossiers.due_on) then ended_dossiers.ended_on end
            as ended_on,
        supplements.requested_on,
        supplements.completed_on
    from supplements
    join ended_dossiers on supplements.dossier_id = ended_dossiers.dossier_id
),

waits as (
    select
        *,
        case when completed_on <= coalesce(ended_on, last_day) then completed_on else ended_on end as waited_until
    from asked_dossiers
    where requested_on <= coalesce(ended_on, last_day)
),

pauses as (
    select
        dossier_id,
        due_on,
        last_day,
        ended_on,
        count(*) as requests,
        max(case when waited_until is null then requested_on end) as waits_since,
        sum(case
            when waited_until is null then 0 else greatest(working_days_between(requested_on, waited_until), 0)
        end) as paused_days
    from waits
    group by dossier_id, due_on, last_day, ended_on
),

paused_dossiers as (
    select
        dossier_id,
        requests = 1 and case
            when waits_since is not null then waits_since <= due_on
            when ended_on is not null then ended_on <= add_working_days(due_on, paused_days)
            else last_day < add_working_days(due_on, paused_days)
        end as is_on_time
    from pauses
),

handled_dossiers as (
    select
        ended_dossiers.dossier_id as record_id,
        ended_dossiers.subject_id,
        to_char(ended_dossiers.due_on, '%Y-%m') as month,
        ended_dossiers.commune_code,
        procedures.procedure_group,
        coalesce(paused_dossiers.is_on_time, ended_dossiers.ended_on <= ended_dossiers.due_on, false) as is_on_time,
        -- KenhThucHien: 1 at the counter, 2 online, 3 by public post; a blank is not online.
        coalesce(ended_dossiers.channel = 2, false) as is_online
    from ended_dossiers
    left join paused_dossiers on ended_dossiers.dossier_id = paused_dossiers.dossier_id
    left join procedures on ended_dossiers.procedure_code = procedures.procedure_code
)

select * from handled_dossiers
