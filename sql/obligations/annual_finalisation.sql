-- One row per taxpayer, tax and year, or closing, whose finalisation is due inside the notice window.
--
-- Corporate income tax of a financial year, and income tax withheld in a calendar year, are finalised
-- by the last day of the third month after it; who dissolves, ends, merges or converts finalises
-- within days of the decision (Decree 252/2026/NĐ-CP, Art. 10(5)a and b). A day of rest moves the day
-- to the next working day (Art. 3(7)). The law of the first day after the year, or of the decision, counts.
--
-- grain:   subject_id, object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, tax, ends_on, is_closing
-- rule:    payer_finalisation, closing_finalisation
with
duties as (select * from staging.tax_duties where tax in ('cit', 'pit_withholding')),
taxpayers as (select * from staging.taxpayers),
returns as (select * from staging.tax_returns where return_kind in ('finalisation', 'closing')),
months as (select * from calendar.months),
months_after as (select * from law_versions.payer_finalisation),
closing_days as (select * from law_versions.closing_finalisation),

-- A financial year ends with some month: which one, each taxpayer says.
year_ends as (
    select
        months.last_day,
        extract(month from months.last_day) as end_month,
        months_after.rule_version,
        last_day_of_month(add_months(months.last_day, months_after.value, 'clamp')) as nominal_on
    from months
    join months_after
        on months.last_day between before_day(months_after.in_force_from) and before_day(months_after.in_force_to)
),

due_year_ends as (
    select *, last_day_of_month(add_months(last_day, -12, 'clamp')) as year_before_on from year_ends
    where nominal_on > previous_working_day(before_day($since)) and nominal_on <= $until
),

-- Income tax that a payer withholds follows the calendar year, whatever the payer's own year is. A duty
-- that ended during the year is finalised all the same: part of the year was taxed.
years as (
    select distinct
        duties.subject_id,
        duties.tax,
        due_year_ends.last_day as ends_on,
        due_year_ends.nominal_on,
        due_year_ends.rule_version,
        false as is_closing
    from duties
    left join taxpayers on taxpayers.subject_id = duties.subject_id
    join due_year_ends
        on due_year_ends.end_month
            = case when duties.tax = 'cit' then coalesce(taxpayers.financial_year_end_month, 12) else 12 end
        and duties.starts_on <= due_year_ends.last_day
        and (duties.ends_on is null or duties.ends_on > due_year_ends.year_before_on)
    where taxpayers.stopped_on is null or taxpayers.stopped_on > due_year_ends.last_day
),

closings as (
    select distinct
        duties.subject_id,
        duties.tax,
        taxpayers.stopped_on as ends_on,
        days_from_day_after(taxpayers.stopped_on, closing_days.value) as nominal_on,
        closing_days.rule_version,
        true as is_closing
    from taxpayers
    join duties
        on duties.subject_id = taxpayers.subject_id
        and duties.starts_on <= taxpayers.stopped_on
        and (duties.ends_on is null or duties.ends_on > add_months(taxpayers.stopped_on, -12, 'clamp'))
    join closing_days on taxpayers.stopped_on between closing_days.in_force_from and closing_days.in_force_to
),

finalisations as (
    select * from years
    union all
    select * from closings
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
    from finalisations
),

filed as (
    select subject_id, tax, return_kind = 'closing' as is_closing, period_ends_on, min(filed_on) as filed_on
    from returns
    group by subject_id, tax, return_kind, period_ends_on
),

due_finalisations as (
    select
        rolled.subject_id,
        rolled.tax as object_id,
        case when rolled.is_closing then 'closing-' else '' end || cast(rolled.ends_on as varchar) as period,
        rolled.due_on,
        rolled.rule_version,
        filed.filed_on as fulfilled_on,
        rolled.tax,
        rolled.ends_on,
        rolled.is_closing
    from rolled
    left join filed
        on filed.subject_id = rolled.subject_id
        and filed.tax = rolled.tax
        and filed.is_closing = rolled.is_closing
        and filed.period_ends_on = rolled.ends_on
    where rolled.due_on <= $until
)

select * from due_finalisations
