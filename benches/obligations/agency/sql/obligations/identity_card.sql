-- One row per person and age at which the identity card is renewed, inside the window.
--
-- grain:   subject_id, period
-- private: subject_id, period, due_on
-- rule:    identity_card_ages
with
people as (select * from staging.people),
ages as (select * from law.identity_card_ages),

birthdays as (
    select
        people.subject_id,
        cast(null as varchar) as object_id,
        'age-' || cast(ages.value as varchar) as period,
        add_months(people.birth_date, ages.value * 12, 'clamp') as due_on,
        ages.rule_version,
        cast(null as date) as fulfilled_on
    from people
    cross join ages
)

select * from birthdays
where due_on between $since and $until
