//! What the paper says, in reading order, before it has pages.

use super::face::{Face, Style};
use crate::calendar::vietnam;
use crate::dossiers::{Attachment, Confirmed, Field, Origin, Reader};

/// A text that begins on a line of its own.
pub(super) type Said = (Style, String);

/// A part of the paper.
pub(super) enum Block {
    /// A heading; its text is a bookmark too.
    Heading {
        level: u16,
        said: Vec<Said>,
    },
    Paragraph(Vec<Said>),
    /// The first cell of a row is its heading.
    Table {
        /// What it is for, for whoever cannot see it.
        summary: &'static str,
        /// The parts of the width that the columns take.
        widths: &'static [f32],
        head: Vec<Vec<Said>>,
        rows: Vec<Vec<Vec<Said>>>,
    },
    List(Vec<Vec<Said>>),
}

/// The whole paper.
pub(super) struct Story {
    /// The title of the document.
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
    /// At the foot of each page, before its number.
    pub(super) foot: String,
}

pub(super) fn of(confirmed: &Confirmed, reader: Reader<'_>) -> Story {
    let title = format!("Hồ sơ: {}", confirmed.procedure_title);
    let mut blocks = vec![
        Block::Heading { level: 1, said: vec![(TITLE, title.clone())] },
        Block::Paragraph(vec![
            vi("Hồ sơ do cơ quan chuẩn bị từ dữ liệu được phép khai thác; người nộp đã xem, bổ sung và xác nhận."),
            en(
                "A dossier that the agency prepared from authorised data, and that the person reviewed, completed and confirmed.",
            ),
        ]),
        heading("Thông tin chung", "About this dossier"),
        about(confirmed),
        heading("Nội dung đã xác nhận", "What was confirmed"),
        values(&confirmed.fields, reader),
        heading("Tệp đính kèm", "Attached files"),
    ];
    blocks.push(match confirmed.attachments.as_slice() {
        [] => Block::Paragraph(vec![vi("Không có tệp đính kèm."), en("No file is attached.")]),
        files => Block::List(files.iter().map(|one| file(one, reader)).collect()),
    });
    Story { title, blocks, foot: format!("Hồ sơ {}", confirmed.dossier) }
}

const TITLE: Style = Style { face: Face::Bold, size: 16.0, lang: None };
const HEADING: Style = Style { face: Face::Bold, size: 12.5, lang: None };
const STRONG: Style = Style { face: Face::Bold, size: 10.0, lang: None };
const PLAIN: Style = Style { face: Face::Regular, size: 10.0, lang: None };
const SMALL: Style = Style { face: Face::Regular, size: 8.5, lang: None };
const ENGLISH: Style = Style { face: Face::Regular, size: 8.5, lang: Some("en") };

fn vi(text: &str) -> Said {
    (PLAIN, text.to_owned())
}

fn en(text: &str) -> Said {
    (ENGLISH, text.to_owned())
}

fn heading(vi: &str, english: &str) -> Block {
    Block::Heading { level: 2, said: vec![(HEADING, vi.to_owned()), en(english)] }
}

fn title(vi: &str, english: &str) -> Vec<Said> {
    vec![(STRONG, vi.to_owned()), en(english)]
}

fn about(confirmed: &Confirmed) -> Block {
    let at = confirmed.confirmed_at.to_zoned(vietnam()).strftime("%d/%m/%Y %H:%M:%S (UTC%:z)").to_string();
    let row = |vi_title: &str, english: &str, value: &str| vec![title(vi_title, english), vec![vi(value)]];
    Block::Table {
        summary: "Hồ sơ này là của ai, theo thủ tục nào, xác nhận lúc nào.",
        widths: &[0.34, 0.66],
        head: vec![title("Mục", "Item"), title("Nội dung", "Content")],
        rows: vec![
            row("Mã hồ sơ", "Dossier", &confirmed.dossier),
            row("Thủ tục hành chính", "Administrative procedure", &confirmed.procedure),
            row("Cơ quan chuẩn bị", "Prepared by", &confirmed.agency),
            row("Người nộp", "Person", confirmed.name.reveal()),
            row("Số định danh cá nhân", "Identity number", confirmed.identity_number.reveal()),
            row("Hạn thực hiện", "Due on", &day(confirmed.due_on)),
            row("Xác nhận lúc", "Confirmed at", &at),
            row("Phiên bản đã xem (SHA-256)", "Version that was shown", &confirmed.version),
        ],
    }
}

fn values(fields: &[Field], reader: Reader<'_>) -> Block {
    Block::Table {
        summary: "Mỗi dòng là một trường của biểu mẫu, giá trị đã xác nhận và nguồn gốc của giá trị.",
        widths: &[0.30, 0.36, 0.34],
        head: vec![title("Trường", "Field"), title("Giá trị", "Value"), title("Nguồn gốc", "Origin")],
        rows: fields
            .iter()
            .map(|field| vec![title(&field.title_vi, &field.title_en), value(field, reader), origin(field)])
            .collect(),
    }
}

/// A value as people read it, in English too where that is another text.
fn value(field: &Field, reader: Reader<'_>) -> Vec<Said> {
    let read = reader.value(field);
    let english = (read.en != read.vi).then(|| en(&read.en));
    std::iter::once(vi(&read.vi)).chain(english).collect()
}

fn origin(field: &Field) -> Vec<Said> {
    let small = |text: String| (SMALL, text);
    match &field.origin {
        Origin::Register { column, pulled_on, legal_ground } => vec![
            small(format!("Lấy từ {column}, dữ liệu ngày {}", day(*pulled_on))),
            small(format!("Căn cứ: {legal_ground}")),
            en("From a register"),
        ],
        Origin::Chosen { column, pulled_on, legal_ground, instead_of } => vec![
            small(format!("Người nộp chọn theo {column}, dữ liệu ngày {}", day(*pulled_on))),
            small(format!("Căn cứ: {legal_ground}")),
            small(format!("Khác với {}", instead_of.join(", "))),
            en("From a register, chosen by the person; others say otherwise"),
        ],
        Origin::Person => vec![small("Người nộp khai".into()), en("Stated by the person")],
        Origin::Corrected { instead_of } => {
            vec![small(format!("Người nộp sửa, khác với {}", instead_of.join(", "))), en("Corrected by the person")]
        }
    }
}

fn file(file: &Attachment, reader: Reader<'_>) -> Vec<Said> {
    let field = reader.title(&file.field).map_or(file.field.as_str(), |title| &title.vi);
    let bytes = file.bytes.reveal().len();
    vec![
        vi(file.name.reveal()),
        (SMALL, format!("Cho mục {field}: {}, {bytes} byte, SHA-256 {}", file.media_type, file.sha256)),
    ]
}

fn day(day: jiff::civil::Date) -> String {
    day.strftime("%d/%m/%Y").to_string()
}
