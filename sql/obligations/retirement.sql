-- One row per employee in ordinary working conditions who retires inside the window.
--
-- The retirement age grows by the year: the first year in which somebody reaches the
-- age of that year counts. The time of retirement is the end of the last day of that
-- month, the pension begins on the next day (Decree 135/2020, Art. 3(1) and (2)).
--
-- grain:   subject_id
-- private: subject_id, period, due_on, fulfilled_on, pension_from
-- rule:    retirement_age
with
employees as (
    select * from staging.insured_people
    where not has_other_age
),
ages as (select * from law_versions.retirement_age),

-- The years that the window touches.
ages_near_window as (
    select * from ages
    where last_day_of_month(in_force_to) >= $since and $until >= in_force_from
),

ages_reached as (
    select
        employees.subject_id,
        employees.sex,
        employees.birth_date,
        employees.retired_on,
        add_months(employees.birth_date, ages_near_window.value, 'clamp') as reached_on,
        ages_near_window.rule_version,
        ages_near_window.in_force_from,
        ages_near_window.in_force_to
    from employees
    join ages_near_window on ages_near_window.key = employees.sex
),

retirements_in_window as (
    select * from ages_reached
    where reached_on between in_force_from and in_force_to
        and last_day_of_month(reached_on) between $since and $until
),

-- Whoever reached the lower age of an earlier year in that year retired then.
retired_by_an_earlier_year as (
    select distinct retirements_in_window.subject_id, retirements_in_window.reached_on
    from retirements_in_window
    join ages on ages.key = retirements_in_window.sex
    where retirements_in_window.in_force_from > ages.in_force_to
        and add_months(retirements_in_window.birth_date, ages.value, 'clamp')
            between ages.in_force_from and ages.in_force_to
),

retirements as (
    select
        retirements_in_window.subject_id,
        cast(null as varchar) as object_id,
        'retirement' as period,
        last_day_of_month(retirements_in_window.reached_on) as due_on,
        retirements_in_window.rule_version,
        retirements_in_window.retired_on as fulfilled_on,
        last_day_of_month(retirements_in_window.reached_on) + cast(1 as int) as pension_from
    from retirements_in_window
    left join retired_by_an_earlier_year
        on retired_by_an_earlier_year.subject_id = retirements_in_window.subject_id
        and retired_by_an_earlier_year.reached_on = retirements_in_window.reached_on
    where retired_by_an_earlier_year.subject_id is null
)

select * from retirements
