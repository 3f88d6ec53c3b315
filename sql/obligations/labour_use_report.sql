-- One row per employer and report on the use of labour that is due inside the notice window.
--
-- The report is sent "before" a day of June and of December (Decree 145/2020/NĐ-CP, Art. 4(2)): the
-- day before it is the last, and it does not move when it is a day of rest. Who has no staff on that
-- day has nothing to report.
--
-- grain:   subject_id, period
-- private: subject_id, period, due_on, fulfilled_on, year, month
-- rule:    labour_use_report
with
employers as (select * from staging.employers),
reports as (select * from staging.labour_reports),
years as (select * from calendar.years),
days as (select * from law_versions.labour_use_report),

deadlines as (
    select
        cast(extract(year from years.last_day) as bigint) as year,
        cast(days.key as bigint) as month,
        before_day(make_date(extract(year from years.last_day), cast(days.key as int), days.value)) as due_on,
        days.rule_version
    from years
    join days on years.last_day between days.in_force_from and days.in_force_to
),

due_days as (
    select * from deadlines
    where due_on between $since and $until
),

sent as (
    select subject_id, year, month, min(sent_on) as sent_on
    from reports
    group by subject_id, year, month
),

with_staff as (
    select distinct
        employers.subject_id,
        due_days.year,
        due_days.month,
        due_days.due_on,
        due_days.rule_version
    from employers
    join due_days
        on (employers.employs_since is null or employers.employs_since <= due_days.due_on)
        and (employers.employs_until is null or employers.employs_until >= due_days.due_on)
),

due_reports as (
    select
        with_staff.subject_id,
        cast(null as varchar) as object_id,
        cast(with_staff.year as varchar) || '-' || lpad(cast(with_staff.month as varchar), 2, '0') as period,
        with_staff.due_on,
        with_staff.rule_version,
        sent.sent_on as fulfilled_on,
        with_staff.year,
        with_staff.month
    from with_staff
    left join sent
        on sent.subject_id = with_staff.subject_id
        and sent.year = with_staff.year
        and sent.month = with_staff.month
)

select * from due_reports
