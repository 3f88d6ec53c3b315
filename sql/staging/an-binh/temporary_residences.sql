-- One row per temporary residence that has not been ended.
--
-- grain:   registration_number
-- private: registration_number, subject_id, expires_on
select
    registration_number,
    citizen_id as subject_id,
    expires_on
from population.temporary_residences
where ended_on is null
