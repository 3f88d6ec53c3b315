-- One row per vehicle.
--
-- grain:   vehicle_id
-- private: vehicle_id, subject_id, kind, year_made, last_inspected_on
select
    cast(vehicle_id as varchar) as vehicle_id,
    cast(owner_id as varchar) as subject_id,
    kind,
    year_made,
    last_inspected as last_inspected_on
from register.vehicles
