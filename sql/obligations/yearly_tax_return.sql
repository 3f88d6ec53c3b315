-- One row per taxpayer, tax and year whose yearly return is due inside the notice window.
--
-- The return of a calendar or financial year is filed by the last day of the first month of the next
-- one; a day of rest moves it to the next working day (Decree 252/2026/NĐ-CP, Art. 3(7) and 10(4)).
-- The law of the first day after the year counts; the law before it asked for another return.
--
-- grain:   subject_id, object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, tax, year_ends_on
-- rule:    yearly_tax_return
with
duties as (select * from staging.tax_duties where cycle = 'year' and tax <> 'cit'),
taxpayers as (select * from staging.taxpayers),
returns as (select * from staging.tax_returns where return_kind = 'year'),
months as (select * from calendar.months),
months_after as (select * from law_versions.yearly_tax_return),

-- A year ends with some month: which one, each taxpayer says.
deadlines as (
    select
        months.last_day,
        months_after.rule_version,
        last_day_of_month(add_months(months.last_day, months_after.value, 'clamp')) as nominal_on
    from months
    join months_after
        on months.last_day between before_day(months_after.in_force_from) and before_day(months_after.in_force_to)
),

-- Only a day that moves to $since or later is asked for its working day, and none after $until: a year
-- whose holidays are not known is no fault while nothing depends on it.
rolled as (
    select
        *,
        case
            when nominal_on > previous_working_day(before_day($since)) and nominal_on <= $until
                then next_working_day(nominal_on)
        end as due_on
    from deadlines
),

due_year_ends as (
    select *, extract(month from last_day) as end_month from rolled
    where due_on <= $until
),

filed as (
    select subject_id, tax, period_ends_on, min(filed_on) as filed_on
    from returns
    group by subject_id, tax, period_ends_on
),

-- A tax that was registered twice, or again within the year, is declared once.
declared as (
    select distinct
        duties.subject_id,
        duties.tax,
        due_year_ends.last_day,
        due_year_ends.due_on,
        due_year_ends.rule_version
    from duties
    left join taxpayers on taxpayers.subject_id = duties.subject_id
    join due_year_ends
        on due_year_ends.end_month = coalesce(taxpayers.financial_year_end_month, 12)
        and duties.starts_on <= due_year_ends.last_day
        and (duties.ends_on is null or duties.ends_on >= due_year_ends.last_day)
),

due_returns as (
    select
        declared.subject_id,
        declared.tax as object_id,
        cast(declared.last_day as varchar) as period,
        declared.due_on,
        declared.rule_version,
        filed.filed_on as fulfilled_on,
        declared.tax,
        declared.last_day as year_ends_on
    from declared
    left join filed
        on filed.subject_id = declared.subject_id
        and filed.tax = declared.tax
        and filed.period_ends_on = declared.last_day
)

select * from due_returns
