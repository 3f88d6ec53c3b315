-- One row per change of an enterprise that is registered or notified by a day of the window.
--
-- It is registered within days of the change, by the law of the day of the change; the day of the change itself
-- does not count (Civil Code 2015, Art. 147(2)). A new name of the ward or the province needs no registration.
-- The last day does not move when it falls on a day off: only tax deadlines do.
--
-- grain:   object_id
-- private: subject_id, object_id, due_on, fulfilled_on, kind, changed_on
-- rule:    enterprise_change_registration
with
changes as (
    select * from staging.enterprise_changes
    where kind <> 'administrative_unit'
),
registration as (select * from law_versions.enterprise_change_registration),

registrations as (
    select
        changes.subject_id,
        changes.change_id as object_id,
        'registration' as period,
        days_from_day_after(changes.changed_on, registration.value) as due_on,
        registration.rule_version,
        changes.registered_on as fulfilled_on,
        changes.kind,
        changes.changed_on
    from changes
    join registration on changes.changed_on between registration.in_force_from and registration.in_force_to
),

registrations_in_window as (
    select * from registrations
    where due_on between $since and $until
)

select * from registrations_in_window
