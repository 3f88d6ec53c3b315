-- One row per person and age at which the identity card must be renewed, for
-- ages that are reached inside the window.
--
-- A card issued within the grace before an age stays valid to the next age: it
-- fulfils the obligation on the day it is issued. The age is reached on the
-- birthday; someone born on 29 February reaches it on the 28th in a common year
-- (Civil Code 2015, Art. 148(3)).
--
-- grain:   subject_id, period
-- private: subject_id, object_id, due_on, fulfilled_on
-- rule:    identity_card_ages, identity_card_grace
with
people as (select * from staging.people where birth_date is not null and not is_deceased),
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
),

birthdays_in_window as (
    select
        birthdays.subject_id,
        birthdays.age_years,
        birthdays.rule_version,
        birthdays.due_on,
        add_months(birthdays.due_on, -grace.value, 'clamp') as valid_if_issued_from
    from birthdays
    cross join grace
    where birthdays.due_on between $since and $until
),

to_renew as (
    select
        birthdays_in_window.subject_id,
        cast(null as varchar) as object_id,
        'age-' || cast(birthdays_in_window.age_years as varchar) as period,
        birthdays_in_window.due_on,
        birthdays_in_window.rule_version,
        min(cards.issued_on) as fulfilled_on,
        birthdays_in_window.age_years
    from birthdays_in_window
    left join cards
        on cards.subject_id = birthdays_in_window.subject_id
        and cards.issued_on >= birthdays_in_window.valid_if_issued_from
    group by
        birthdays_in_window.subject_id,
        birthdays_in_window.due_on,
        birthdays_in_window.rule_version,
        birthdays_in_window.age_years
)

select * from to_renew
