-- One row per private passenger car of up to nine seats whose next inspection is
-- due inside the notice window.
--
-- The age of a car is the year of its last inspection less the year in which it
-- was made; the first certificate has an interval of its own.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on, plate, last_inspected_on
-- rule:    passenger_car_inspection
with
cars as (
    select * from staging.vehicles
    where kind = 'passenger_car' and not is_commercial
),
intervals as (select * from law.passenger_car_inspection),

aged_cars as (
    select
        *,
        case
            when inspections <= 1 then 'first'
            when extract(year from last_inspected_on) - year_made <= 7 then 'age_to_7'
            when extract(year from last_inspected_on) - year_made <= 20 then 'age_to_20'
            else 'age_over_20'
        end as interval_key
    from cars
),

inspections_due as (
    select
        aged_cars.subject_id,
        aged_cars.vehicle_id as object_id,
        cast(aged_cars.last_inspected_on as varchar) as period,
        add_months(aged_cars.last_inspected_on, intervals.value, 'clamp') as due_on,
        intervals.rule_version,
        aged_cars.vehicle_id as plate,
        aged_cars.last_inspected_on
    from aged_cars
    join intervals on intervals.key = aged_cars.interval_key
),

coming_inspections as (
    select * from inspections_due
    where due_on between $as_of and $until
)

select * from coming_inspections
