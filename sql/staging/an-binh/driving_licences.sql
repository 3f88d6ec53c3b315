-- One row per driving licence that is held.
--
-- grain:   licence_number
-- private: licence_number, subject_id, licence_class, issued_on
select
    licence_number,
    citizen_id as subject_id,
    class as licence_class,
    issued_on
from transport.driving_licences
