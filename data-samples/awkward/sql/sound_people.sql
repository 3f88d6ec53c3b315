-- One row per person of the register.
--
-- private: subject_id, full_name, birth_date, commune_code, language, email, phone, is_deceased, refuses_reminders
select
    person as subject_id,
    name as full_name,
    born_on as birth_date,
    commune as commune_code,
    language,
    email,
    cast(null as varchar) as phone,
    false as is_deceased,
    false as refuses_reminders
from register.people
