-- One row per dossier that counts in the period, with when it ended and whether that was in time.
--
-- The rules are those of the description of Decision 766's formulas, 2.1. $since is the first day of the
-- period, $until its last, or the day for which the sheet is made where that is earlier: what has a day afterwards
-- is not seen, so that these judgements of a month read the same whenever it is asked for. How a dossier was served,
-- its fees and what a procedure offers have no day in the standard tables: they are read as they stand.
--
-- * A dossier counts in the period in which it was received; one that was withdrawn (status 7) only if it had
--   been accepted before. A header that says so without a day (finished_on) is not believed: nobody could tell
--   whether it was so by the end of the period.
-- * It ends when processing was done (9, NgayKetThucXuLy), else when the result was returned (10), else when it was
--   stopped (8) or refused (3), else when it was withdrawn; one that waits for its only supplement ends on the day
--   of the request; one without any of these on the last day of the period.
-- * The working days between a request for a supplement and its completion do not count, as far as the dossier's
--   end: a supplement that is completed later, or never, has kept nobody waiting any longer.
-- * More than one request for a supplement is late, whatever the days. A request after the end is none of it.
-- * Without an appointed day (NgayHenTra) the most that the law gives counts, in working days; a dossier
--   without either (has_term) cannot be shown to be in time, and is not.
--
-- grain:   dossier_id
-- private: dossier_id, unit_code, procedure_code, channel, received_on, end_on, allowed_days, days, has_term, is_on_time, is_early, is_settled
with

dossiers as (
    select * from staging.dossiers
    where received_on between $since and $until
),

steps as (
    select * from staging.dossier_steps
    where happened_on <= $until
),

supplements as (
    select * from staging.dossier_supplements
    where requested_on <= $until
),

services as (
    select * from staging.dossier_services
),

procedures as (
    select procedure_code, unit_code, statutory_days from staging.procedures
),

-- The first day of each status that ends a dossier, and whether it was accepted.
progress as (
    select
        dossier_id,
        min(case when status = 9 then happened_on end) as done_on,
        min(case when status = 10 then happened_on end) as returned_on,
        min(case when status in (3, 8) then happened_on end) as stopped_on,
        min(case when status = 7 then happened_on end) as withdrawn_on,
        min(case when status in (2, 4) then happened_on end) as accepted_on
    from steps
    group by dossier_id
),

-- What a header says has happened by the end of the period, or it has not been seen.
seen as (
    select
        dossiers.dossier_id,
        coalesce(services.handled_by, dossiers.commune_code) as unit_code,
        dossiers.procedure_code,
        dossiers.channel,
        dossiers.received_on,
        dossiers.due_on,
        dossiers.status,
        case when dossiers.finished_on <= $until then dossiers.finished_on end as finished_on,
        coalesce(dossiers.status = 7 and dossiers.finished_on <= $until, false)
            or progress.withdrawn_on is not null as is_withdrawn,
        progress.done_on,
        progress.returned_on,
        progress.stopped_on,
        progress.withdrawn_on,
        -- Where no progress is known, a day that was appointed says that it was accepted.
        case
            when progress.dossier_id is null then dossiers.due_on is not null
            else progress.accepted_on is not null
                and progress.accepted_on <= coalesce(progress.withdrawn_on, $until)
        end as is_accepted
    from dossiers
    left join services on dossiers.dossier_id = services.dossier_id
    left join progress on dossiers.dossier_id = progress.dossier_id
),

ended as (
    select
        *,
        coalesce(done_on, finished_on, returned_on, stopped_on, withdrawn_on) as ended_on,
        coalesce(done_on, returned_on, case when status in (9, 10) then finished_on end) is not null as is_settled
    from seen
    where not is_withdrawn or is_accepted
),

-- Until when each supplement was waited for; none while the dossier still waits.
waits as (
    select
        supplements.dossier_id,
        supplements.requested_on,
        case
            when supplements.completed_on <= coalesce(ended.ended_on, $until) then supplements.completed_on
            else ended.ended_on
        end as waited_until
    from supplements
    join ended on supplements.dossier_id = ended.dossier_id
    where supplements.requested_on <= coalesce(ended.ended_on, $until)
),

pauses as (
    select
        dossier_id,
        count(*) as requests,
        max(case when waited_until is null then requested_on end) as waits_since,
        sum(case
            when waited_until is null then 0 else greatest(working_days_between(requested_on, waited_until), 0)
        end) as paused_days
    from waits
    group by dossier_id
),

timed as (
    select
        ended.*,
        procedures.statutory_days,
        coalesce(pauses.requests, 0) as requests,
        coalesce(pauses.paused_days, 0) as paused_days,
        coalesce(ended.ended_on, case when pauses.requests = 1 then pauses.waits_since end, $until) as end_on
    from ended
    left join pauses on ended.dossier_id = pauses.dossier_id
    left join procedures
        on ended.procedure_code = procedures.procedure_code and ended.unit_code = procedures.unit_code
),

counted as (
    select
        *,
        working_days_between(received_on, end_on) - paused_days as days,
        case
            when due_on is not null then working_days_between(received_on, due_on)
            else statutory_days
        end as allowed_days,
        due_on is not null or statutory_days is not null as has_term
    from timed
),

judged as (
    select
        *,
        has_term and requests <= 1 and case
            when due_on is not null then end_on <= add_working_days(due_on, paused_days)
            else days <= statutory_days
        end as is_on_time
    from counted
)

select
    dossier_id,
    unit_code,
    procedure_code,
    channel,
    received_on,
    end_on,
    allowed_days,
    days,
    has_term,
    is_on_time,
    is_on_time and days < allowed_days as is_early,
    is_settled
from judged
