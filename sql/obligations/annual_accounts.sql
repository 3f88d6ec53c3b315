-- One row per taxpayer and financial year whose annual accounts are due inside the notice window.
--
-- They are sent within days of the end of the accounting year (Law on Accounting 88/2015/QH13). It is
-- no deadline of tax law, so it does not move to the next working day.
--
-- grain:   subject_id, period
-- private: subject_id, period, due_on, fulfilled_on, year_ends_on
-- rule:    annual_accounts
with
taxpayers as (select * from staging.taxpayers),
duties as (select * from staging.tax_duties where tax = 'cit'),
returns as (select * from staging.tax_returns where return_kind = 'accounts'),
months as (select * from calendar.months),
days as (select * from law_versions.annual_accounts),

year_ends as (
    select
        months.last_day,
        extract(month from months.last_day) as end_month,
        days.rule_version,
        on_day(days_from_day_after(months.last_day, days.value)) as due_on
    from months
    join days on months.last_day between days.in_force_from and days.in_force_to
),

due_year_ends as (
    select * from year_ends
    where due_on between $since and $until
),

filed as (
    select subject_id, period_ends_on, min(filed_on) as filed_on
    from returns
    group by subject_id, period_ends_on
),

-- Whoever owes corporate income tax and has not stopped by the last day of the year keeps accounts for it: a duty
-- that ended by then was registered anew, or is suspended, which asks for accounts all the same.
keepers as (
    select distinct
        taxpayers.subject_id,
        due_year_ends.last_day,
        due_year_ends.due_on,
        due_year_ends.rule_version
    from taxpayers
    join due_year_ends on due_year_ends.end_month = coalesce(taxpayers.financial_year_end_month, 12)
    join duties on duties.subject_id = taxpayers.subject_id and duties.starts_on <= due_year_ends.last_day
    where taxpayers.stopped_on is null or taxpayers.stopped_on > due_year_ends.last_day
),

due_accounts as (
    select
        keepers.subject_id,
        cast(null as varchar) as object_id,
        cast(keepers.last_day as varchar) as period,
        keepers.due_on,
        keepers.rule_version,
        filed.filed_on as fulfilled_on,
        keepers.last_day as year_ends_on
    from keepers
    left join filed on filed.subject_id = keepers.subject_id and filed.period_ends_on = keepers.last_day
)

select * from due_accounts
