-- One row per person who reaches an age of the social pension inside the window and
-- has no pension, or a lower one.
--
-- Everybody may ask from the higher age on, members of poor and near-poor households
-- from the lower one. It is paid from the month in which the commune decides, so that
-- whoever asks late loses months. A request fulfils the obligation, one from the lower
-- age for the higher one too.
--
-- grain:   subject_id, period
-- private: subject_id, period, due_on, fulfilled_on, age_years, monthly_vnd
-- rule:    social_pension_age, social_pension_amount
with
people as (
    select * from staging.people
    where birth_date is not null and not is_deceased
),
pensions as (select * from staging.pensions),
poor_households as (select * from staging.poor_households),
requests as (select * from staging.social_pension_requests),
ages as (select * from law_versions.social_pension_age),
amounts as (select * from law_versions.social_pension_amount),

birthdays as (
    select
        people.subject_id,
        ages.key as age_group,
        ages.value as age_years,
        add_months(people.birth_date, ages.value * 12, 'clamp') as due_on,
        ages.rule_version,
        ages.in_force_from,
        ages.in_force_to
    from people
    cross join ages
),

birthdays_in_window as (
    select birthdays.*, amounts.value as monthly_vnd
    from birthdays
    join amounts on birthdays.due_on between amounts.in_force_from and amounts.in_force_to
    where birthdays.due_on between birthdays.in_force_from and birthdays.in_force_to
        and birthdays.due_on between $since and $until
),

-- All pensions of a person together, on the day of the age.
pensions_received as (
    select birthdays_in_window.subject_id, birthdays_in_window.age_group, sum(cast(pensions.monthly_vnd as double)) as monthly_vnd
    from birthdays_in_window
    join pensions
        on pensions.subject_id = birthdays_in_window.subject_id
        and birthdays_in_window.due_on
            between pensions.starts_on and coalesce(pensions.ends_on, birthdays_in_window.due_on)
    group by birthdays_in_window.subject_id, birthdays_in_window.age_group
),

poor_people as (
    select distinct birthdays_in_window.subject_id, birthdays_in_window.age_group
    from birthdays_in_window
    join poor_households
        on poor_households.subject_id = birthdays_in_window.subject_id
        and birthdays_in_window.due_on
            between poor_households.starts_on and coalesce(poor_households.ends_on, birthdays_in_window.due_on)
),

-- The social pension of the lower age ends with the poverty: who asked before that must ask again,
-- even when the household is poor once more. A term that begins the day after another goes on with it.
poverty_ended as (
    select birthdays_in_window.subject_id, birthdays_in_window.age_group, max(poor_households.ends_on) as ended_on
    from birthdays_in_window
    join poor_households
        on poor_households.subject_id = birthdays_in_window.subject_id
        and birthdays_in_window.due_on > poor_households.ends_on
    left join poor_households as terms_after
        on terms_after.subject_id = poor_households.subject_id
        and terms_after.starts_on <= poor_households.ends_on + 1
        and (terms_after.ends_on is null or terms_after.ends_on > poor_households.ends_on)
    where terms_after.subject_id is null
    group by birthdays_in_window.subject_id, birthdays_in_window.age_group
),

first_requests as (
    select birthdays_in_window.subject_id, birthdays_in_window.age_group, min(requests.requested_on) as requested_on
    from birthdays_in_window
    join requests on requests.subject_id = birthdays_in_window.subject_id
    left join poverty_ended
        on poverty_ended.subject_id = birthdays_in_window.subject_id
        and poverty_ended.age_group = birthdays_in_window.age_group
    where poverty_ended.ended_on is null or requests.requested_on > poverty_ended.ended_on
    group by birthdays_in_window.subject_id, birthdays_in_window.age_group
),

entitled as (
    select
        birthdays_in_window.subject_id,
        cast(null as varchar) as object_id,
        'age-' || cast(birthdays_in_window.age_years as varchar) as period,
        birthdays_in_window.due_on,
        birthdays_in_window.rule_version,
        first_requests.requested_on as fulfilled_on,
        birthdays_in_window.age_years,
        birthdays_in_window.monthly_vnd
    from birthdays_in_window
    left join pensions_received
        on pensions_received.subject_id = birthdays_in_window.subject_id
        and pensions_received.age_group = birthdays_in_window.age_group
    left join poor_people
        on poor_people.subject_id = birthdays_in_window.subject_id
        and poor_people.age_group = birthdays_in_window.age_group
    left join first_requests
        on first_requests.subject_id = birthdays_in_window.subject_id
        and first_requests.age_group = birthdays_in_window.age_group
    where (pensions_received.monthly_vnd is null or pensions_received.monthly_vnd < birthdays_in_window.monthly_vnd)
        and (birthdays_in_window.age_group = 'all' or poor_people.subject_id is not null)
)

select * from entitled
