-- One row per driving licence.
--
-- grain:   licence_number
-- private: licence_number, subject_id, licence_class, issued_on
select
    cast(licence_id as varchar) as licence_number,
    cast(person_id as varchar) as subject_id,
    class as licence_class,
    issued as issued_on
from register.licences
