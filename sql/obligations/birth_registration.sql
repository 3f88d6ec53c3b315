-- One row per child born whose time for registration ends inside the window.
--
-- The time runs from the day after the birth (Civil Code 2015, Art. 147(2)) and does
-- not roll over a day of rest. The entry in the civil status register fulfils it.
-- Parents of a child that has died are left to a clerk.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, fulfilled_on, born_on
-- rule:    birth_registration_term
with
births as (
    select * from staging.births
    where not is_deceased
),
terms as (select * from law_versions.birth_registration_term),

registrations_due as (
    select
        births.subject_id,
        births.birth_id as object_id,
        cast(births.born_on as varchar) as period,
        days_from_day_after(births.born_on, terms.value) as due_on,
        terms.rule_version,
        births.registered_on as fulfilled_on,
        births.born_on
    from births
    join terms on births.born_on between terms.in_force_from and terms.in_force_to
),

registrations_in_window as (
    select * from registrations_due
    where due_on between $since and $until
)

select * from registrations_in_window
