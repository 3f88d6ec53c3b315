-- One row per death whose time for registration ends inside the window.
--
-- The time runs from the day after the death (Civil Code 2015, Art. 147(2)) and does
-- not roll over a day of rest. The entry in the civil status register fulfils it.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, fulfilled_on, died_on
-- rule:    death_registration_term
with
deaths as (select * from staging.deaths),
terms as (select * from law_versions.death_registration_term),

registrations_due as (
    select
        deaths.subject_id,
        deaths.death_id as object_id,
        cast(deaths.died_on as varchar) as period,
        days_from_day_after(deaths.died_on, terms.value) as due_on,
        terms.rule_version,
        deaths.registered_on as fulfilled_on,
        deaths.died_on
    from deaths
    join terms on deaths.died_on between terms.in_force_from and terms.in_force_to
),

registrations_in_window as (
    select * from registrations_due
    where due_on between $since and $until
)

select * from registrations_in_window
