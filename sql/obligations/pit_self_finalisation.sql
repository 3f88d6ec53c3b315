-- One row per person and year whose income tax they finalise in person, due inside the notice window.
--
-- The finalisation is filed by the last day of the fourth month after the calendar year; a day of rest
-- moves it to the next working day (Decree 252/2026/NĐ-CP, Art. 3(7) and 10(5)c). The law of the first
-- day after the year counts. Who authorised a payer is not in the table; who leaves the country has
-- other days, which are not computed here.
--
-- grain:   subject_id, period
-- private: subject_id, period, due_on, fulfilled_on, tax_year
-- rule:    pit_self_finalisation
with
settlements as (select * from staging.pit_settlements),
returns as (select * from staging.tax_returns where tax = 'pit' and return_kind = 'finalisation'),
years as (select * from calendar.years),
months_after as (select * from law_versions.pit_self_finalisation),

deadlines as (
    select
        years.last_day,
        months_after.rule_version,
        last_day_of_month(add_months(years.last_day, months_after.value, 'clamp')) as nominal_on
    from years
    join months_after
        on years.last_day between before_day(months_after.in_force_from) and before_day(months_after.in_force_to)
),

-- Only a day that moves to $since or later is asked for its working day, and none after $until: a year
-- whose holidays are not known is no fault while nothing depends on it.
rolled as (
    select
        *,
        case
            when nominal_on > previous_working_day(before_day($since)) and $until >= nominal_on
                then next_working_day(nominal_on)
        end as due_on
    from deadlines
),

due_years as (
    select *, cast(extract(year from last_day) as bigint) as tax_year from rolled
    where due_on <= $until
),

filed as (
    select subject_id, period_ends_on, min(filed_on) as filed_on
    from returns
    group by subject_id, period_ends_on
),

people_who_finalise as (
    select distinct subject_id, tax_year from settlements
),

due_finalisations as (
    select
        people_who_finalise.subject_id,
        cast(null as varchar) as object_id,
        cast(due_years.tax_year as varchar) as period,
        due_years.due_on,
        due_years.rule_version,
        filed.filed_on as fulfilled_on,
        due_years.tax_year
    from people_who_finalise
    join due_years on due_years.tax_year = people_who_finalise.tax_year
    left join filed
        on filed.subject_id = people_who_finalise.subject_id
        and filed.period_ends_on = due_years.last_day
)

select * from due_finalisations
