-- One row per driving licence without points and test that its holder may take to
-- restore them: the first one, and one more after each that was failed.
--
-- The first test is open six months after the last point was gone, the next one when
-- the holder may register again, some working days after the failed one. due_on is the
-- first day on which it is possible. The next test taken, or the points restored,
-- fulfils it.
--
-- grain:   object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, licence_number, exhausted_on, failed_on
-- rule:    licence_points_wait, licence_points_retest
with
losses as (select * from staging.licence_points_exhausted),
tests as (select * from staging.licence_points_tests),
waits as (select * from law_versions.licence_points_wait),
retests as (select * from law_versions.licence_points_retest),

first_tests as (
    select
        losses.subject_id,
        losses.licence_number,
        losses.exhausted_on,
        losses.restored_on,
        cast(null as date) as failed_on,
        losses.exhausted_on as counted_from,
        'exhausted-' || cast(losses.exhausted_on as varchar) as period,
        add_months(losses.exhausted_on, waits.value, 'clamp') as due_on,
        waits.rule_version
    from losses
    join waits on losses.exhausted_on between waits.in_force_from and waits.in_force_to
),

-- A test belongs to the last loss before it. Of a day that lies ahead, or before the
-- circular, no holiday is asked for.
failed_tests as (
    select
        tests.licence_number,
        tests.taken_on,
        case when tests.taken_on between retests.in_force_from and $until then tests.taken_on end as counted_from,
        retests.value as wait_working_days,
        retests.rule_version,
        max(losses.exhausted_on) as exhausted_on
    from tests
    join retests on tests.taken_on between retests.in_force_from and retests.in_force_to
    join losses
        on losses.licence_number = tests.licence_number
        and tests.taken_on > losses.exhausted_on
    where not tests.is_passed
    group by tests.licence_number, tests.taken_on, retests.in_force_from, retests.value, retests.rule_version
),

next_tests as (
    select
        losses.subject_id,
        losses.licence_number,
        losses.exhausted_on,
        losses.restored_on,
        failed_tests.taken_on as failed_on,
        failed_tests.taken_on as counted_from,
        'failed-' || cast(failed_tests.taken_on as varchar) as period,
        add_working_days(failed_tests.counted_from, failed_tests.wait_working_days) as due_on,
        failed_tests.rule_version
    from failed_tests
    join losses
        on losses.licence_number = failed_tests.licence_number
        and losses.exhausted_on = failed_tests.exhausted_on
),

tests_to_take as (
    select * from first_tests
    union all
    select * from next_tests
),

tests_in_window as (
    select * from tests_to_take
    where due_on between $since and $until
),

tests_taken as (
    select
        tests_in_window.licence_number,
        tests_in_window.period,
        min(tests.taken_on) as taken_on
    from tests_in_window
    join tests
        on tests.licence_number = tests_in_window.licence_number
        and tests.taken_on > tests_in_window.counted_from
    group by tests_in_window.licence_number, tests_in_window.period
),

tests_due as (
    select
        tests_in_window.subject_id,
        tests_in_window.licence_number as object_id,
        tests_in_window.period,
        tests_in_window.due_on,
        tests_in_window.rule_version,
        least(tests_taken.taken_on, tests_in_window.restored_on) as fulfilled_on,
        tests_in_window.licence_number,
        tests_in_window.exhausted_on,
        tests_in_window.failed_on
    from tests_in_window
    left join tests_taken
        on tests_taken.licence_number = tests_in_window.licence_number
        and tests_taken.period = tests_in_window.period
)

select * from tests_due
