-- One row per stay of the register.
select
    stay as registration_number,
    person as subject_id,
    cast(ends_on as varchar) as expires_on
from register.stays
