-- One row per ordinary passport whose term ends inside the window.
--
-- The term depends on the holder's age on the day of issue and on the law of that
-- day; it is not extended. A newer passport of the same holder fulfils the obligation.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, fulfilled_on, passport_number, issued_on
-- rule:    passport_term, passport_adult_age
with
passports as (select * from staging.passports),
terms as (select * from law_versions.passport_term),
adult_ages as (select * from law_versions.passport_adult_age),

-- By the completed years on the day of issue.
passports_by_age as (
    select
        passports.*,
        case
            when age_on(passports.holder_birth_date, passports.issued_on) >= adult_ages.value then 'adult'
            else 'child'
        end as age_group
    from passports
    join adult_ages on passports.issued_on between adult_ages.in_force_from and adult_ages.in_force_to
),

ends as (
    select
        passports_by_age.subject_id,
        passports_by_age.holder_id,
        passports_by_age.passport_number,
        passports_by_age.issued_on,
        add_months(passports_by_age.issued_on, terms.value, 'clamp') as due_on,
        terms.rule_version
    from passports_by_age
    join terms
        on terms.key = passports_by_age.age_group
        and passports_by_age.issued_on between terms.in_force_from and terms.in_force_to
),

ends_in_window as (
    select * from ends
    where due_on between $since and $until
),

newer_passports as (
    select
        ends_in_window.passport_number,
        min(passports.issued_on) as issued_on
    from ends_in_window
    join passports
        on passports.holder_id = ends_in_window.holder_id
        and passports.issued_on > ends_in_window.issued_on
    group by ends_in_window.passport_number
),

passports_due as (
    select
        ends_in_window.subject_id,
        ends_in_window.passport_number as object_id,
        cast(ends_in_window.issued_on as varchar) as period,
        ends_in_window.due_on,
        ends_in_window.rule_version,
        newer_passports.issued_on as fulfilled_on,
        ends_in_window.passport_number,
        ends_in_window.issued_on
    from ends_in_window
    left join newer_passports on newer_passports.passport_number = ends_in_window.passport_number
)

select * from passports_due
