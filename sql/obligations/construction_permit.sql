-- One row per construction permit, or extension of one, by whose last day works start.
--
-- Works start within a time of the permit or of its last extension; whoever cannot applies for an extension
-- before that day, as often as the law allows. Works that have started, or the next extension, fulfil the
-- obligation. The day does not move when it falls on a holiday: only tax deadlines do.
--
-- grain:   object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, permit_number, valid_from, can_extend, extend_by_on
-- rule:    construction_start, construction_extensions
with
permits as (select * from staging.construction_permits),
start_term as (select * from law.construction_start),
extensions as (select * from law.construction_extensions),

starts_due as (
    select
        permits.*,
        add_months(permits.valid_from, start_term.value, 'clamp') as due_on,
        start_term.rule_version,
        permits.extensions < extensions.value as can_extend
    from permits
    cross join start_term
    cross join extensions
),

starts_in_window as (
    select * from starts_due
    where due_on between $since and $until
),

works_started as (
    select starts_in_window.permit_number, min(permits.started_on) as started_on
    from starts_in_window
    join permits on permits.permit_number = starts_in_window.permit_number
    group by starts_in_window.permit_number
),

next_extensions as (
    select starts_in_window.permit_number, starts_in_window.valid_from, min(later.valid_from) as extended_on
    from starts_in_window
    join permits as later
        on later.permit_number = starts_in_window.permit_number
        and later.valid_from > starts_in_window.valid_from
    group by starts_in_window.permit_number, starts_in_window.valid_from
),

followed_up as (
    select
        starts_in_window.subject_id,
        starts_in_window.permit_number as object_id,
        cast(starts_in_window.valid_from as varchar) as period,
        starts_in_window.due_on,
        starts_in_window.rule_version,
        least(works_started.started_on, next_extensions.extended_on) as fulfilled_on,
        starts_in_window.permit_number,
        starts_in_window.valid_from,
        starts_in_window.can_extend,
        case when starts_in_window.can_extend then before_day(starts_in_window.due_on) end as extend_by_on
    from starts_in_window
    left join works_started on works_started.permit_number = starts_in_window.permit_number
    left join next_extensions
        on next_extensions.permit_number = starts_in_window.permit_number
        and next_extensions.valid_from = starts_in_window.valid_from
)

select * from followed_up
