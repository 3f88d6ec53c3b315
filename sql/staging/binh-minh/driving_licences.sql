-- One row per driving licence that is held.
--
-- grain:   licence_number
-- private: licence_number, subject_id, licence_class, issued_on
select
    so_giay_phep as licence_number,
    so_dinh_danh as subject_id,
    hang as licence_class,
    ngay_cap as issued_on
from giao_thong.giay_phep_lai_xe
