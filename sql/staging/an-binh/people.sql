-- One row per person of the area.
--
-- grain:   subject_id
-- private: subject_id, full_name, birth_date, commune_code, language, email, phone, is_deceased, refuses_reminders
select
    citizen_id as subject_id,
    full_name,
    birth_date,
    commune_code,
    language,
    email,
    cast(null as varchar) as phone,
    deceased_on is not null as is_deceased,
    coalesce(refuses_reminders, false) as refuses_reminders
from population.citizens
