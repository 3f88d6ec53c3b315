-- One row per month of unemployment benefit whose notice of job search is due inside
-- the window.
--
-- In the first month the days count from the day on which the decision was handed over,
-- later from the first day of the month of benefit. They are working days, so that a
-- holiday moves the date. A notice for that month fulfils it.
--
-- grain:   object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, benefit_month, month_starts_on
-- rule:    job_search_notice_term
with
benefits as (
    select * from staging.unemployment_benefits
    where starts_on is not null and ends_on is not null and handed_over_on is not null
),
notices as (select * from staging.job_search_notices),
terms as (select * from law_versions.job_search_notice_term),
months as (select * from calendar.months),

-- A month of benefit begins in each calendar month, on the day of the first one.
benefit_months as (
    select
        benefits.subject_id,
        benefits.benefit_id,
        benefits.starts_on,
        benefits.ends_on,
        benefits.handed_over_on,
        cast(
            (extract(year from months.first_day) - extract(year from benefits.starts_on)) * 12
            + extract(month from months.first_day) - extract(month from benefits.starts_on)
            as bigint
        ) as months_before
    from benefits
    join months on months.last_day >= benefits.starts_on and months.first_day <= benefits.ends_on
),

month_starts as (
    select
        subject_id,
        benefit_id,
        months_before + 1 as benefit_month,
        add_months(starts_on, months_before, 'clamp') as month_starts_on,
        ends_on,
        case when months_before = 0 then handed_over_on else add_months(starts_on, months_before, 'clamp') end
            as counted_from
    from benefit_months
),

-- Of months that lie ahead, or before the decree, no holiday is asked for.
months_begun as (
    select
        month_starts.subject_id,
        month_starts.benefit_id,
        month_starts.benefit_month,
        month_starts.month_starts_on,
        case
            when month_starts.counted_from between terms.in_force_from and $until then month_starts.counted_from
        end as counted_from,
        terms.value as term_working_days,
        terms.rule_version
    from month_starts
    join terms on month_starts.counted_from between terms.in_force_from and terms.in_force_to
    where month_starts.month_starts_on <= month_starts.ends_on
),

notices_due as (
    select
        subject_id,
        benefit_id,
        benefit_month,
        month_starts_on,
        add_working_days(counted_from, term_working_days) as due_on,
        rule_version
    from months_begun
),

notices_given as (
    select benefit_id, benefit_month, min(notified_on) as notified_on
    from notices
    group by benefit_id, benefit_month
),

notices_in_window as (
    select
        notices_due.subject_id,
        notices_due.benefit_id as object_id,
        'month-' || cast(notices_due.benefit_month as varchar) as period,
        notices_due.due_on,
        notices_due.rule_version,
        notices_given.notified_on as fulfilled_on,
        notices_due.benefit_month,
        notices_due.month_starts_on
    from notices_due
    left join notices_given
        on notices_given.benefit_id = notices_due.benefit_id
        and notices_given.benefit_month = notices_due.benefit_month
    where notices_due.due_on between $since and $until
)

select * from notices_in_window
