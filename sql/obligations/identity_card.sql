-- One row per person and age at which the identity card must be renewed, for
-- ages that are reached inside the notice window.
--
-- A card issued within the grace before an age stays valid to the next age. The
-- age is reached on the birthday; someone born on 29 February reaches it on the
-- 28th in a common year (Civil Code 2015, Art. 148(3)).
--
-- grain:   subject_id, period
-- private: subject_id, object_id, due_on
-- rule:    identity_card_ages, identity_card_grace
with
people as (select * from staging.people),
cards as (select * from staging.identity_cards),
ages as (select * from law.identity_card_ages),
grace as (select * from law.identity_card_grace),

birthdays as (
    select
        people.subject_id,
        ages.value as age_years,
        ages.rule_version,
        add_months(people.birth_date, ages.value * 12, 'clamp') as due_on
    from people
    cross join ages
    where people.birth_date is not null
),

coming_birthdays as (
    select * from birthdays
    where due_on between $as_of and $until
),

newest_cards as (
    select subject_id, max(issued_on) as issued_on
    from cards
    group by subject_id
),

to_renew as (
    select
        coming_birthdays.subject_id,
        cast(null as varchar) as object_id,
        'age-' || cast(coming_birthdays.age_years as varchar) as period,
        coming_birthdays.due_on,
        coming_birthdays.rule_version,
        coming_birthdays.age_years
    from coming_birthdays
    cross join grace
    left join newest_cards on newest_cards.subject_id = coming_birthdays.subject_id
    where newest_cards.issued_on is null
        or newest_cards.issued_on < add_months(coming_birthdays.due_on, -grace.value, 'clamp')
)

select * from to_renew
