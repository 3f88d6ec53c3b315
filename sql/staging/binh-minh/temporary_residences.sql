-- One row per temporary residence that has not been ended.
--
-- grain:   registration_number
-- private: registration_number, subject_id, expires_on
select
    so_dang_ky as registration_number,
    so_dinh_danh as subject_id,
    den_ngay as expires_on
from dan_cu.tam_tru
where ngay_xoa is null
