-- One row per male citizen on the commune's list who reaches the age of first military
-- registration in a year whose registration falls inside the window.
--
-- Age is counted by the year. Until a summons names the day, the obligation stands for
-- the last day of the month of the call; a summons for a day of that year moves it. The
-- entry in the register fulfils it.
--
-- grain:   subject_id
-- private: subject_id, period, due_on, fulfilled_on, called_for, summoned_on
-- rule:    military_registration_age, military_registration_month, military_registration_summons
with
citizens as (select * from staging.military_lists),
ages as (select * from law_versions.military_registration_age),
call_months as (select * from law_versions.military_registration_month),
summonses as (select * from law_versions.military_registration_summons),
months as (select * from calendar.months),

-- The month of the call, in every year of the calendar.
calls as (
    select
        extract(year from months.first_day) as call_year,
        months.first_day,
        months.last_day,
        call_months.rule_version
    from months
    join call_months
        on extract(month from months.first_day) = call_months.value
        and months.last_day between call_months.in_force_from and call_months.in_force_to
),

citizens_called as (
    select
        citizens.subject_id,
        citizens.registered_on,
        calls.call_year,
        calls.rule_version,
        case when extract(year from citizens.called_for) = calls.call_year then citizens.called_for end as called_for,
        calls.last_day
    from citizens
    cross join ages
    join calls
        on calls.call_year = extract(year from citizens.birth_date) + ages.value
        and calls.last_day between ages.in_force_from and ages.in_force_to
),

registrations_due as (
    select
        subject_id,
        cast(null as varchar) as object_id,
        cast(call_year as varchar) as period,
        coalesce(called_for, last_day) as due_on,
        rule_version,
        registered_on as fulfilled_on,
        called_for
    from citizens_called
),

registrations_in_window as (
    select
        registrations_due.*,
        registrations_due.called_for - cast(summonses.value as int) as summoned_on
    from registrations_due
    left join summonses
        on registrations_due.due_on between summonses.in_force_from and summonses.in_force_to
    where registrations_due.due_on between $since and $until
)

select * from registrations_in_window
