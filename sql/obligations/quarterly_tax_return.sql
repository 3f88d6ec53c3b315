-- One row per taxpayer, tax and quarter whose return is due inside the notice window.
--
-- The return of a quarter is filed by the last day of the first month of the next quarter; a day of
-- rest moves it to the next working day (Decree 252/2026/NĐ-CP, Art. 3(7) and 10(3)). The law of the
-- first day after the quarter counts. Corporate income tax has no quarterly return: it is paid in
-- advance (cit_advance).
--
-- grain:   subject_id, object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, tax, quarter, year
-- rule:    quarterly_tax_return
with
duties as (select * from staging.tax_duties where cycle = 'quarter' and tax <> 'cit'),
returns as (select * from staging.tax_returns where return_kind = 'quarter'),
quarters as (select * from calendar.quarters),
months_after as (select * from law_versions.quarterly_tax_return),

deadlines as (
    select
        quarters.first_day,
        quarters.last_day,
        months_after.rule_version,
        last_day_of_month(add_months(quarters.last_day, months_after.value, 'clamp')) as nominal_on
    from quarters
    join months_after
        on quarters.last_day between before_day(months_after.in_force_from) and before_day(months_after.in_force_to)
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

due_quarters as (
    select * from rolled
    where due_on <= $until
),

filed as (
    select subject_id, tax, period_ends_on, min(filed_on) as filed_on
    from returns
    group by subject_id, tax, period_ends_on
),

-- A tax that was registered twice, or again within the quarter, is declared once.
declared as (
    select distinct
        duties.subject_id,
        duties.tax,
        due_quarters.last_day,
        due_quarters.due_on,
        due_quarters.rule_version
    from duties
    join due_quarters
        on duties.starts_on <= due_quarters.last_day
        and (duties.ends_on is null or duties.ends_on >= due_quarters.first_day)
),

due_returns as (
    select
        declared.subject_id,
        declared.tax as object_id,
        substr(cast(declared.last_day as varchar), 1, 4)
            || '-Q' || cast(extract(quarter from declared.last_day) as varchar) as period,
        declared.due_on,
        declared.rule_version,
        filed.filed_on as fulfilled_on,
        declared.tax,
        cast(extract(quarter from declared.last_day) as bigint) as quarter,
        cast(extract(year from declared.last_day) as bigint) as year
    from declared
    left join filed
        on filed.subject_id = declared.subject_id
        and filed.tax = declared.tax
        and filed.period_ends_on = declared.last_day
)

select * from due_returns
