//! Vietnamese names as they are common, and mail addresses made from them.
//!
//! A name is family, middle and given name. Middle and given names agree with
//! the sex; family names come as often as in the population (Lê Trung Hoa 2005:
//! Nguyễn 38 %, Trần 11 %, Lê 9.5 %, ...). Every text is in NFC. The addresses are
//! at names reserved for examples (RFC 2606), where nobody can be reached.

use unicode_normalization::UnicodeNormalization;

use super::draw::Draw;

/// Family names, and how many in a thousand bear them.
const FAMILY: [(&str, u32); 32] = [
    ("Nguyễn", 384),
    ("Trần", 110),
    ("Lê", 95),
    ("Phạm", 70),
    ("Huỳnh", 27),
    ("Hoàng", 24),
    ("Phan", 45),
    ("Vũ", 19),
    ("Võ", 20),
    ("Đặng", 21),
    ("Bùi", 20),
    ("Đỗ", 14),
    ("Hồ", 13),
    ("Ngô", 13),
    ("Dương", 10),
    ("Lý", 5),
    ("Đinh", 9),
    ("Trương", 10),
    ("Mai", 8),
    ("Lâm", 8),
    ("Đoàn", 8),
    ("Trịnh", 8),
    ("Đào", 8),
    ("Cao", 7),
    ("Lương", 7),
    ("Hà", 7),
    ("Tạ", 5),
    ("Châu", 5),
    ("Tô", 5),
    ("Thái", 5),
    ("Quách", 4),
    ("Kiều", 4),
];

const MIDDLE_FEMALE: [(&str, u32); 16] = [
    ("Thị", 400),
    ("Ngọc", 110),
    ("Thị Thu", 60),
    ("Thị Thanh", 60),
    ("Thị Kim", 50),
    ("Thị Hồng", 50),
    ("Thị Ngọc", 50),
    ("Thanh", 40),
    ("Thu", 30),
    ("Phương", 30),
    ("Minh", 30),
    ("Khánh", 20),
    ("Bảo", 20),
    ("Thùy", 20),
    ("Mỹ", 20),
    ("Thị Bích", 10),
];

const MIDDLE_MALE: [(&str, u32); 18] = [
    ("Văn", 340),
    ("Hữu", 70),
    ("Đức", 70),
    ("Minh", 70),
    ("Quốc", 60),
    ("Công", 50),
    ("Thanh", 50),
    ("Ngọc", 40),
    ("Xuân", 40),
    ("Đình", 40),
    ("Trọng", 30),
    ("Anh", 30),
    ("Quang", 30),
    ("Thành", 25),
    ("Gia", 20),
    ("Hoàng", 15),
    ("Bá", 10),
    ("Duy", 10),
];

const GIVEN_FEMALE: [&str; 60] = [
    "An",
    "Ánh",
    "Bích",
    "Châu",
    "Chi",
    "Cúc",
    "Diễm",
    "Diệu",
    "Dung",
    "Duyên",
    "Đào",
    "Giang",
    "Hà",
    "Hạnh",
    "Hằng",
    "Hiền",
    "Hoa",
    "Hòa",
    "Hoài",
    "Hồng",
    "Huệ",
    "Huyền",
    "Hương",
    "Khánh",
    "Lan",
    "Lệ",
    "Liên",
    "Linh",
    "Loan",
    "Ly",
    "Mai",
    "My",
    "Nga",
    "Ngân",
    "Ngọc",
    "Nguyệt",
    "Nhàn",
    "Nhi",
    "Như",
    "Nhung",
    "Oanh",
    "Phụng",
    "Phương",
    "Phượng",
    "Quyên",
    "Quỳnh",
    "Sương",
    "Tâm",
    "Thanh",
    "Thảo",
    "Thơ",
    "Thu",
    "Thủy",
    "Thư",
    "Trang",
    "Trâm",
    "Trinh",
    "Tuyết",
    "Vân",
    "Yến",
];

const GIVEN_MALE: [&str; 60] = [
    "An", "Anh", "Bảo", "Bình", "Chiến", "Chính", "Cường", "Danh", "Dũng", "Duy", "Dương", "Đại", "Đạt", "Đông", "Đức",
    "Giang", "Hải", "Hậu", "Hiếu", "Hoàng", "Hùng", "Huy", "Hưng", "Kha", "Khang", "Khánh", "Khoa", "Kiên", "Lâm",
    "Long", "Lộc", "Lợi", "Luân", "Mạnh", "Minh", "Nam", "Nghĩa", "Nhân", "Phong", "Phú", "Phúc", "Quang", "Quân",
    "Quốc", "Quý", "Sang", "Sơn", "Tài", "Tâm", "Tân", "Thành", "Thắng", "Thịnh", "Tiến", "Toàn", "Trí", "Trung",
    "Tuấn", "Tùng", "Vinh",
];

/// The hosts reserved for examples.
const HOSTS: [(&str, u32); 3] = [("example.com", 60), ("example.org", 25), ("example.net", 15)];

const FAMILY_FIELD: u64 = 100;
const MIDDLE_FIELD: u64 = 101;
const GIVEN_FIELD: u64 = 102;
const HOST_FIELD: u64 = 103;

/// A name in its three parts.
#[derive(Clone, Copy)]
pub struct Name {
    family: &'static str,
    middle: &'static str,
    given: &'static str,
}

impl Name {
    /// The name of the person whose values these are.
    pub fn of(draw: Draw, female: bool) -> Self {
        let family = draw.weighted(FAMILY_FIELD, &FAMILY, "Nguyễn");
        let (middle, given) = match female {
            true => (draw.weighted(MIDDLE_FIELD, &MIDDLE_FEMALE, "Thị"), draw.word(GIVEN_FIELD, &GIVEN_FEMALE)),
            false => (draw.weighted(MIDDLE_FIELD, &MIDDLE_MALE, "Văn"), draw.word(GIVEN_FIELD, &GIVEN_MALE)),
        };
        // Nobody is called twice the same.
        let plain = if female { "Thị" } else { "Văn" };
        let middle = if middle.ends_with(given) { plain } else { middle };
        Name { family, middle, given }
    }

    /// In the Vietnamese order.
    pub fn full(&self) -> String {
        [self.family, " ", self.middle, " ", self.given].concat()
    }

    /// An address for this name: given name, family name and a number that nobody else has.
    pub fn email(&self, draw: Draw, number: u64) -> String {
        let mut address = String::with_capacity(40);
        plain(self.given, &mut address);
        address.push('.');
        plain(self.family, &mut address);
        address.push_str(&number.to_string());
        address.push('@');
        address.push_str(draw.weighted(HOST_FIELD, &HOSTS, "example.com"));
        address
    }
}

/// Adds a word in lower-case ASCII letters: without tones and marks, `đ` as `d`.
fn plain(word: &str, into: &mut String) {
    for letter in word.nfd() {
        match letter {
            'đ' | 'Đ' => into.push('d'),
            _ if letter.is_ascii_alphabetic() => into.push(letter.to_ascii_lowercase()),
            _ => {}
        }
    }
}
