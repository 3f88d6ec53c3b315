-- One row per fee of a dossier.
--
-- grain:   fee_id
-- private: fee_id, dossier_id, price_vnd
select
    fee_id,
    dossier_number as dossier_id,
    price_vnd
from one_stop.fees
