-- Whom the register of drivers takes for the holder of each licence.
--
-- grain:   licence_number
-- private: licence_number, full_name, birth_date
select
    licence_number,
    holder_name as full_name,
    holder_birth_date as birth_date
from transport.driving_licences
