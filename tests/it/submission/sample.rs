//! Dossiers that nobody ever confirmed, and the way to a portal that takes them.

use std::path::Path;

use chudong::dossiers::{Attachment, Confirmed, Field, Origin};
use chudong::personal::{Personal, sha256};
use chudong::pipeline::publication::Submission;
use chudong::pipeline::secret::SecretRef;
use chudong::simulate::{self, Simulator};
use jiff::civil::Date;

use crate::support::world::World;

/// The day of the pulls.
pub fn day() -> Date {
    jiff::civil::date(2026, 11, 20)
}

/// One confirmed value.
pub fn field(id: &str, portal: Option<&str>, value: &str, origin: Origin) -> Field {
    Field {
        id: id.into(),
        portal: portal.map(str::to_owned),
        title_vi: format!("Trường {id}"),
        title_en: format!("Field {id}"),
        value: Personal::new(value.into()),
        origin,
    }
}

fn register(column: &str) -> Origin {
    let legal_ground = "Luật 91/2025/QH15, Điều 19".into();
    Origin::Register { column: column.into(), pulled_on: day(), legal_ground }
}

/// A dossier of this number, without files.
pub fn confirmed(dossier: &str) -> Confirmed {
    let instead_of = vec!["population.citizens.phone".into()];
    let titled = |mut field: Field, vi: &str, en: &str| {
        (field.title_vi, field.title_en) = (vi.into(), en.into());
        field
    };
    Confirmed {
        dossier: dossier.into(),
        item: "driving_licence".into(),
        procedure: "1.002809".into(),
        procedure_title: "Đổi giấy phép lái xe do ngành Công an cấp".into(),
        agency: "97".into(),
        identity_number: Personal::new("079085001234".into()),
        name: Personal::new("Nguyễn Thị Hồng Đào".into()),
        due_on: jiff::civil::date(2026, 12, 20),
        confirmed_at: "2026-11-22T18:30:05Z".parse().unwrap(),
        version: sha256(b"what was shown"),
        fields: vec![
            titled(
                field("name", Some("ChuHoSo"), "Nguyễn Thị Hồng Đào", register("population.citizens.full_name")),
                "Họ và tên",
                "Full name",
            ),
            titled(
                field("licence_number", None, "790123456789", register("transport.driving_licences.licence_number")),
                "Số giấy phép lái xe",
                "Licence number",
            ),
            titled(
                field("phone", Some("SoDienThoai"), "0900000001", Origin::Corrected { instead_of }),
                "Số điện thoại",
                "Telephone",
            ),
            titled(field("reason", None, "Sắp hết hạn", Origin::Person), "Lý do đổi", "Reason"),
        ],
        attachments: Vec::new(),
    }
}

/// The same with two files.
pub fn with_files(mut dossier: Confirmed) -> Confirmed {
    let file = |field: &str, name: &str, media_type: &str, bytes: &[u8]| Attachment {
        field: field.into(),
        name: Personal::new(name.into()),
        media_type: media_type.into(),
        bytes: Personal::new(bytes.to_vec()),
        sha256: sha256(bytes),
    };
    dossier.attachments = vec![
        file("photo", "ảnh thẻ.png", "image/png", b"\x89PNG\r\n\x1a\nnot a picture of anybody"),
        file("health_certificate", "giấy khám sức khỏe.pdf", "application/pdf", b"%PDF-1.7 of nobody"),
    ];
    dossier
}

/// The way to a portal at an address; the secret is put into a folder, where one is given.
pub fn terms(url: &str, folder: Option<&Path>) -> Submission {
    Submission {
        url: format!("{url}/portal/v1"),
        token_url: format!("{url}/portal/token"),
        client_id: simulate::CLIENT_ID.into(),
        client_secret: folder
            .map_or(SecretRef::Env("NONE".into()), |folder| crate::push::secret(folder, "portal", simulate::SECRET)),
        scope: None,
        department: "H97".into(),
        databases: [("population", "1"), ("transport", "7")].map(|(name, code)| (name.into(), code.into())).into(),
        identity: None,
        authority: None,
    }
}

/// The table `[submission]` for a stand-in, before that of the unit.
pub fn table(simulator: &Simulator, world: &World) -> String {
    let secret = crate::push::secret(&world.root(), "portal", simulate::SECRET);
    let path = match secret {
        SecretRef::File(path) => path.display().to_string(),
        SecretRef::Env(_) | SecretRef::Credential(_) => String::new(),
    };
    let url = simulator.url();
    format!(
        "\n[submission]\nurl = \"{url}/portal/v1\"\ntoken_url = \"{url}/portal/token\"\nclient_id = \"{}\"\n\
         client_secret = {{ file = \"{path}\" }}\ndepartment = \"H97\"\ndatabases = {{ population = \"1\" }}\n\n[unit]\n",
        simulate::CLIENT_ID,
    )
}
