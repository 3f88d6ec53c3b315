-- One row per stay of the register.
--
-- private: registration_number, subject_id, expires_on
select
    stay as registration_number,
    person as subject_id,
    ends_on as expires_on
from register.stays
