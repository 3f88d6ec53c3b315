-- One row per stay of the register.
select
    stay as registration_number,
    person as subject_id,
    last_day_of(ends_on) as expires_on
from register.stays
