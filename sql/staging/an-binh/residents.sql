-- Where each person of the area lives.
--
-- grain:   subject_id
-- private: subject_id, sex, residence, residence_confirmed_on
select
    citizen_id as subject_id,
    sex,
    residence,
    residence_confirmed_on
from population.citizens
