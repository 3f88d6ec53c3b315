-- One row per private passenger car of up to nine seats and certificate that it
-- needs next, or got, inside the window.
--
-- The age of a car is the year of its last inspection less the year in which it
-- was made; the first certificate of a new car has an interval of its own, which
-- one that was imported used or brought late has not. The period is the number
-- of the certificate. The register keeps the last inspection alone: of a
-- certificate that was issued, the day before which it was due is no longer there,
-- and its row is due on the day of issue; the ledger knows the day it was due.
--
-- grain:   object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, plate, last_inspected_on
-- rule:    passenger_car_inspection, passenger_car_new
with
cars as (
    select * from staging.vehicles
    where kind = 'passenger_car' and not is_commercial
),
intervals as (select * from law.passenger_car_inspection),
new_to as (select * from law.passenger_car_new),

aged_cars as (
    select
        cars.*,
        case
            when cars.inspections <= 1 and extract(year from cars.last_inspected_on) - cars.year_made <= new_to.value
                then 'first'
            when extract(year from cars.last_inspected_on) - cars.year_made <= 7 then 'age_to_7'
            when extract(year from cars.last_inspected_on) - cars.year_made <= 20 then 'age_to_20'
            else 'age_over_20'
        end as interval_key
    from cars
    cross join new_to
),

inspections_due as (
    select
        aged_cars.subject_id,
        aged_cars.vehicle_id as object_id,
        'certificate-' || cast(aged_cars.inspections + 1 as varchar) as period,
        add_months(aged_cars.last_inspected_on, intervals.value, 'clamp') as due_on,
        intervals.rule_version,
        cast(null as date) as fulfilled_on,
        aged_cars.vehicle_id as plate,
        aged_cars.last_inspected_on
    from aged_cars
    join intervals on intervals.key = aged_cars.interval_key
),

inspections_done as (
    select
        aged_cars.subject_id,
        aged_cars.vehicle_id as object_id,
        'certificate-' || cast(aged_cars.inspections as varchar) as period,
        aged_cars.last_inspected_on as due_on,
        intervals.rule_version,
        aged_cars.last_inspected_on as fulfilled_on,
        aged_cars.vehicle_id as plate,
        aged_cars.last_inspected_on
    from aged_cars
    join intervals on intervals.key = aged_cars.interval_key
    where aged_cars.inspections > 1
),

inspections_in_window as (
    select * from inspections_due
    where due_on between $since and $until
    union all
    select * from inspections_done
    where due_on between $since and $as_of
)

select * from inspections_in_window
