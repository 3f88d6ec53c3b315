-- One row per stay of the register.
select
    stay as registration_number,
    ends_on as expires_on
from register.stays
