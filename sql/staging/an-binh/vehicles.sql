-- One row per registered vehicle.
--
-- grain:   vehicle_id
-- private: vehicle_id, subject_id, kind, is_commercial, year_made, last_inspected_on, inspections
select
    plate as vehicle_id,
    owner_id as subject_id,
    kind,
    coalesce(is_commercial, false) as is_commercial,
    year_made,
    last_inspected_on,
    inspections
from transport.vehicles
