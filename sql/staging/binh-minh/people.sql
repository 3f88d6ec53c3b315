-- One row per person of the area.
--
-- grain:   subject_id
-- private: subject_id, full_name, birth_date, commune_code, language, email, phone, is_deceased, refuses_reminders
select
    so_dinh_danh as subject_id,
    ho_ten as full_name,
    ngay_sinh as birth_date,
    ma_xa as commune_code,
    ngon_ngu as language,
    thu_dien_tu as email,
    cast(null as varchar) as phone,
    coalesce(da_mat, false) as is_deceased,
    coalesce(tu_choi_nhac, false) as refuses_reminders
from dan_cu.cong_dan
