-- One row per suspension of business after whose end resumption is confirmed by a day of the window.
--
-- It is confirmed within working days of the end (Decree 296/2026), by the law of that end. The confirmation
-- fulfils the obligation, and so does the notice of another suspension that follows without a day between.
--
-- grain:   object_id
-- private: subject_id, object_id, due_on, fulfilled_on, ends_on
-- rule:    business_resumption
with
suspensions as (select * from staging.business_suspensions),
resumption as (select * from law_versions.business_resumption),

-- Working days are counted only where the confirmation may be due: far years have no calendar.
confirmations as (
    select
        suspensions.*,
        case
            when suspensions.ends_on between add_working_days($since, -resumption.value) and $until
                then add_working_days(suspensions.ends_on, resumption.value)
        end as due_on,
        resumption.rule_version
    from suspensions
    join resumption on suspensions.ends_on between resumption.in_force_from and resumption.in_force_to
),

confirmations_in_window as (
    select * from confirmations
    where due_on between $since and $until
),

prolongations as (
    select confirmations_in_window.suspension_id, min(next.notified_on) as notified_on
    from confirmations_in_window
    join suspensions as next
        on next.subject_id = confirmations_in_window.subject_id
        and next.starts_on > confirmations_in_window.starts_on
        and next.starts_on <= days_from_day_after(confirmations_in_window.ends_on, 1)
        and (next.ends_on is null or next.ends_on > confirmations_in_window.ends_on)
    group by confirmations_in_window.suspension_id
),

followed_up as (
    select
        confirmations_in_window.subject_id,
        confirmations_in_window.suspension_id as object_id,
        'resumption' as period,
        confirmations_in_window.due_on,
        confirmations_in_window.rule_version,
        least(confirmations_in_window.resumed_on, prolongations.notified_on) as fulfilled_on,
        confirmations_in_window.ends_on
    from confirmations_in_window
    left join prolongations on prolongations.suspension_id = confirmations_in_window.suspension_id
)

select * from followed_up
