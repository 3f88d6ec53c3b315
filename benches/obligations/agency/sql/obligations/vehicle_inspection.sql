-- One row per vehicle whose inspection is due inside the window.
--
-- grain:   object_id
-- private: subject_id, object_id, period, due_on
-- rule:    inspection_interval
with
vehicles as (select * from staging.vehicles),
intervals as (select * from law.inspection_interval),

aged_vehicles as (
    select
        *,
        case
            when kind = 'car' and extract(year from $as_of) - year_made <= 7 then 'car_to_7'
            when kind = 'car' then 'car'
            else 'other'
        end as interval_key
    from vehicles
),

inspections as (
    select
        aged_vehicles.subject_id,
        aged_vehicles.vehicle_id as object_id,
        cast(aged_vehicles.last_inspected_on as varchar) as period,
        add_months(aged_vehicles.last_inspected_on, intervals.value, 'clamp') as due_on,
        intervals.rule_version,
        cast(null as date) as fulfilled_on
    from aged_vehicles
    join intervals on intervals.key = aged_vehicles.interval_key
)

select * from inspections
where due_on between $since and $until
