-- One row per taxpayer, tax and month whose return is due inside the notice window.
--
-- The return of a month is filed by a fixed day of the next month; a day of rest moves it to the
-- next working day (Decree 252/2026/NĐ-CP, Art. 3(7) and 10(2)). The law of the first day after the
-- month counts. A return that the tax office has accepted fulfils the obligation.
--
-- grain:   subject_id, object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, tax, month, year
-- rule:    monthly_tax_return
with
duties as (select * from staging.tax_duties where cycle = 'month'),
returns as (select * from staging.tax_returns where return_kind = 'month'),
months as (select * from calendar.months),
days as (select * from law_versions.monthly_tax_return),

deadlines as (
    select
        months.first_day,
        months.last_day,
        days.rule_version,
        days_from_day_after(months.last_day, days.value) as nominal_on
    from months
    join days on months.last_day between before_day(days.in_force_from) and before_day(days.in_force_to)
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

due_months as (
    select * from rolled
    where due_on <= $until
),

filed as (
    select subject_id, tax, period_ends_on, min(filed_on) as filed_on
    from returns
    group by subject_id, tax, period_ends_on
),

-- A tax that was registered twice, or again within the month, is declared once.
declared as (
    select distinct
        duties.subject_id,
        duties.tax,
        due_months.last_day,
        due_months.due_on,
        due_months.rule_version
    from duties
    join due_months
        on duties.starts_on <= due_months.last_day
        and (duties.ends_on is null or duties.ends_on >= due_months.first_day)
),

due_returns as (
    select
        declared.subject_id,
        declared.tax as object_id,
        substr(cast(declared.last_day as varchar), 1, 7) as period,
        declared.due_on,
        declared.rule_version,
        filed.filed_on as fulfilled_on,
        declared.tax,
        cast(extract(month from declared.last_day) as bigint) as month,
        cast(extract(year from declared.last_day) as bigint) as year
    from declared
    left join filed
        on filed.subject_id = declared.subject_id
        and filed.tax = declared.tax
        and filed.period_ends_on = declared.last_day
)

select * from due_returns
