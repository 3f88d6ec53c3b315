-- One row per stay of the register.
select
    stay as registration_number,
    person as subject_id,
    ends_on as expires_on,
    ends_on as ended_on
from register.stays
