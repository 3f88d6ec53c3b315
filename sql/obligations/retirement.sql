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

ages_reached as (
    select
        employees.subject_id,
        add_months(employees.birth_date, ages.value, 'clamp') as reached_on,
        ages.rule_version,
        ages.in_force_from,
        ages.in_force_to,
        employees.retired_on
    from employees
    join ages on ages.key = employees.sex
),

ages_in_force as (
    select * from ages_reached
    where reached_on between in_force_from and in_force_to
),

retirements_in_window as (
    select * from ages_in_force
    where last_day_of_month(reached_on) between $since and $until
),

-- Whoever reached the lower age of an earlier year retired then.
retired_by_an_earlier_year as (
    select distinct retirements_in_window.subject_id, retirements_in_window.reached_on
    from retirements_in_window
    join ages_in_force
        on ages_in_force.subject_id = retirements_in_window.subject_id
        and ages_in_force.reached_on < retirements_in_window.reached_on
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
