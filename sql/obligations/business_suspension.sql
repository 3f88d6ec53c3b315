-- One row per suspension of business that is notified by a day of the window.
--
-- It is notified working days before its first day (Law 59/2020, Art. 206(1)), by the law of that first day.
-- The notice fulfils the obligation; a suspension that is put off moves it.
--
-- grain:   object_id
-- private: subject_id, object_id, due_on, fulfilled_on, starts_on
-- rule:    business_suspension_notice
with
suspensions as (select * from staging.business_suspensions),
notice as (select * from law_versions.business_suspension_notice),

-- Working days are counted only where the notice may be due: far years have no calendar yet.
notices as (
    select
        suspensions.subject_id,
        suspensions.suspension_id as object_id,
        'notice' as period,
        case
            when suspensions.starts_on between $since and add_working_days($until, notice.value)
                then add_working_days(suspensions.starts_on, -notice.value)
        end as due_on,
        notice.rule_version,
        suspensions.notified_on as fulfilled_on,
        suspensions.starts_on
    from suspensions
    join notice on suspensions.starts_on between notice.in_force_from and notice.in_force_to
),

notices_in_window as (
    select * from notices
    where due_on between $since and $until
)

select * from notices_in_window
