-- One row per child and dose of the compulsory schedule whose turn comes inside the window.
--
-- A dose counts from birth or, in the combined vaccine, from the dose before it: the
-- second is not due before the first was given. due_on is the last day of a dose that
-- has one (hepatitis B, tuberculosis), otherwise the first day on which it may be given. A dose, or a
-- later one of the same vaccine, fulfils the obligation.
--
-- grain:   object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, child_name, vaccine, dose
-- rule:    vaccination_birth_dose, vaccination_age, vaccination_gap
with
children as (
    select * from staging.children
    where not is_deceased
),
vaccinations as (select * from staging.vaccinations),
birth_doses as (select * from law_versions.vaccination_birth_dose),
ages as (select * from law_versions.vaccination_age),
gaps as (select * from law_versions.vaccination_gap),

doses_at_birth as (
    select
        children.child_id,
        birth_doses.key as dose_key,
        cast(null as date) as previous_on,
        days_from_day_after(children.birth_date, birth_doses.value) as due_on,
        birth_doses.rule_version,
        birth_doses.in_force_from,
        birth_doses.in_force_to
    from children
    cross join birth_doses
),

doses_by_age as (
    select
        children.child_id,
        ages.key as dose_key,
        cast(null as date) as previous_on,
        add_months(children.birth_date, ages.value, 'clamp') as due_on,
        ages.rule_version,
        ages.in_force_from,
        ages.in_force_to
    from children
    cross join ages
),

doses_after_another as (
    select
        vaccinations.child_id,
        gaps.key as dose_key,
        vaccinations.given_on as previous_on,
        add_months(vaccinations.given_on, gaps.value, 'clamp') as due_on,
        gaps.rule_version,
        gaps.in_force_from,
        gaps.in_force_to
    from vaccinations
    join gaps on gaps.key = 'combined_' || cast(vaccinations.dose + 1 as varchar)
    where vaccinations.vaccine = 'combined'
),

schedule as (
    select * from doses_at_birth
    union all
    select * from doses_by_age
    union all
    select * from doses_after_another
),

-- The law of the day on which the dose is due, not of the birth.
doses_in_window as (
    select
        child_id,
        dose_key,
        case when dose_key like 'combined%' then 'combined' else dose_key end as vaccine,
        case dose_key when 'combined_2' then 2 when 'combined_3' then 3 else 1 end as dose,
        previous_on,
        due_on,
        rule_version
    from schedule
    where due_on between in_force_from and in_force_to
        and due_on between $since and $until
),

-- A dose that was entered several times was given on the first of these days.
previous_doses as (
    select
        doses_in_window.child_id,
        doses_in_window.dose_key,
        min(vaccinations.given_on) as given_on
    from doses_in_window
    join vaccinations
        on vaccinations.child_id = doses_in_window.child_id
        and vaccinations.vaccine = doses_in_window.vaccine
        and vaccinations.dose = doses_in_window.dose - 1
    group by doses_in_window.child_id, doses_in_window.dose_key
),

doses_fulfilled as (
    select
        doses_in_window.child_id,
        doses_in_window.dose_key,
        min(vaccinations.given_on) as given_on
    from doses_in_window
    join vaccinations
        on vaccinations.child_id = doses_in_window.child_id
        and vaccinations.vaccine = doses_in_window.vaccine
        and vaccinations.dose >= doses_in_window.dose
    group by doses_in_window.child_id, doses_in_window.dose_key
),

doses_due as (
    select distinct
        children.subject_id,
        children.child_id as object_id,
        doses_in_window.dose_key as period,
        doses_in_window.due_on,
        doses_in_window.rule_version,
        doses_fulfilled.given_on as fulfilled_on,
        children.child_name,
        doses_in_window.vaccine,
        doses_in_window.dose
    from doses_in_window
    join children on children.child_id = doses_in_window.child_id
    left join previous_doses
        on previous_doses.child_id = doses_in_window.child_id
        and previous_doses.dose_key = doses_in_window.dose_key
    left join doses_fulfilled
        on doses_fulfilled.child_id = doses_in_window.child_id
        and doses_fulfilled.dose_key = doses_in_window.dose_key
    where doses_in_window.previous_on is null or doses_in_window.previous_on = previous_doses.given_on
)

select * from doses_due
