-- One row per inspection certificate of a van converted from a passenger car of more
-- than nine seats, whose next inspection is due inside the window.
--
-- The age of a van is the year of the inspection less the year in which it was made; the
-- first certificate of a young van has an interval of its own. The next inspection, early
-- or late, fulfils the obligation.
--
-- grain:   object_id, period
-- private: subject_id, object_id, period, due_on, fulfilled_on, plate, last_inspected_on
-- rule:    converted_van_inspection, converted_van_ages
with
vans as (
    select * from staging.vehicles
    where kind = 'converted_van'
),
certificates as (select * from staging.vehicle_inspections),
intervals as (select * from law.converted_van_inspection),
young_to as (select * from law.converted_van_ages where key = 'young_to'),
old_from as (select * from law.converted_van_ages where key = 'old_from'),

-- Two certificates of one day are one inspection.
inspections as (
    select distinct
        vans.subject_id,
        vans.vehicle_id,
        vans.year_made,
        certificates.issued_on
    from vans
    join certificates on certificates.vehicle_id = vans.vehicle_id
),

numbered_inspections as (
    select
        *,
        extract(year from issued_on) - year_made as age_years,
        row_number() over (partition by vehicle_id order by issued_on) as number,
        lead(issued_on) over (partition by vehicle_id order by issued_on) as next_inspected_on
    from inspections
),

inspections_by_age as (
    select
        numbered_inspections.*,
        case
            when numbered_inspections.age_years <= young_to.value and numbered_inspections.number = 1 then 'first'
            when numbered_inspections.age_years <= young_to.value then 'young'
            when numbered_inspections.age_years < old_from.value then 'middle'
            else 'old'
        end as interval_key
    from numbered_inspections
    cross join young_to
    cross join old_from
),

inspections_due as (
    select
        inspections_by_age.subject_id,
        inspections_by_age.vehicle_id as object_id,
        cast(inspections_by_age.issued_on as varchar) as period,
        add_months(inspections_by_age.issued_on, intervals.value, 'clamp') as due_on,
        intervals.rule_version,
        inspections_by_age.next_inspected_on as fulfilled_on,
        inspections_by_age.vehicle_id as plate,
        inspections_by_age.issued_on as last_inspected_on
    from inspections_by_age
    join intervals on intervals.key = inspections_by_age.interval_key
),

inspections_in_window as (
    select * from inspections_due
    where due_on between $since and $until
)

select * from inspections_in_window
