-- One row per person.
--
-- grain:   subject_id
-- private: subject_id, province, birth_date, email, phone, language, consents
select
    cast(person_id as varchar) as subject_id,
    province,
    birth_date,
    email,
    phone,
    language,
    consents
from register.persons
