-- One row per dossier of an administrative procedure.
--
-- grain:   dossier_id
-- private: dossier_id, subject_id, received_on, due_on, finished_on
select
    so_ho_so as dossier_id,
    so_dinh_danh as subject_id,
    ma_thu_tuc as procedure_code,
    ma_xa as commune_code,
    kenh as channel,
    trang_thai as status,
    ngay_tiep_nhan as received_on,
    ngay_hen_tra as due_on,
    ngay_ket_thuc as finished_on
from mot_cua.ho_so
