-- Where each person of the area lives. The register has no permanent residence: whoever needs it asks the person.
--
-- grain:   subject_id
-- private: subject_id, sex, residence, residence_confirmed_on, permanent_residence, permanent_residence_confirmed_on
select
    citizen_id as subject_id,
    sex,
    residence,
    residence_confirmed_on,
    cast(null as varchar) as permanent_residence,
    cast(null as date) as permanent_residence_confirmed_on
from population.citizens
