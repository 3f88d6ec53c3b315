-- One row per stay of the register.
select
    stay as registration_number,
    person as subject_id,
    ends_on as expires_on
from register.stays
where ends_on >= $today
