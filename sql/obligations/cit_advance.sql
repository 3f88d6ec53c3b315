-- One row per taxpayer and quarter whose advance on corporate income tax is due inside the notice window.
--
-- Up to the second quarter of 2026 the advance was due on the 30th of the first month of the next
-- quarter, now on that month's last day (Decree 252/2026/NĐ-CP, Art. 24(2)); a day of rest moves it
-- to the next working day (Art. 3(7)). The law of the first day after the quarter counts: the advance
-- of the second quarter of 2026 is the first under the new one. Any payment for the quarter fulfils
-- the obligation; whether the four together reach what the law asks for shows in the finalisation.
--
-- grain:   subject_id, period
-- private: subject_id, period, due_on, fulfilled_on, quarter, year
-- rule:    cit_advance_day, cit_advance_month
with
duties as (select * from staging.tax_duties where cycle = 'quarter' and tax = 'cit'),
payments as (select * from staging.tax_payments where tax = 'cit'),
quarters as (select * from calendar.quarters),
days as (select * from law_versions.cit_advance_day),
months_after as (select * from law_versions.cit_advance_month),

deadlines as (
    select
        quarters.first_day,
        quarters.last_day,
        days.rule_version,
        days_from_day_after(quarters.last_day, days.value) as nominal_on
    from quarters
    join days on quarters.last_day between before_day(days.in_force_from) and before_day(days.in_force_to)
    union all
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

paid as (
    select subject_id, period_ends_on, min(paid_on) as paid_on
    from payments
    group by subject_id, period_ends_on
),

-- A duty that was registered twice is one duty.
taxed as (
    select distinct
        duties.subject_id,
        due_quarters.last_day,
        due_quarters.due_on,
        due_quarters.rule_version
    from duties
    join due_quarters
        on duties.starts_on <= due_quarters.last_day
        and (duties.ends_on is null or duties.ends_on >= due_quarters.first_day)
),

due_payments as (
    select
        taxed.subject_id,
        cast(null as varchar) as object_id,
        substr(cast(taxed.last_day as varchar), 1, 4)
            || '-Q' || cast(extract(quarter from taxed.last_day) as varchar) as period,
        taxed.due_on,
        taxed.rule_version,
        paid.paid_on as fulfilled_on,
        cast(extract(quarter from taxed.last_day) as bigint) as quarter,
        cast(extract(year from taxed.last_day) as bigint) as year
    from taxed
    left join paid on paid.subject_id = taxed.subject_id and paid.period_ends_on = taxed.last_day
)

select * from due_payments
