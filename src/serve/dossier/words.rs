//! What the pages of a dossier say, in Vietnamese and English.

use std::fmt;

use jiff::civil::Date;

use crate::language::{Language, Text, date};
use crate::pipeline::form::Unsound;

/// Adds to a page in place.
pub(super) fn write_to(out: &mut String, text: fmt::Arguments<'_>) {
    // Writing into a text does not fail.
    let _ = fmt::Write::write_fmt(out, text);
}

/// Words of a page, in the language of the reader.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words(pub(super) Language);

impl Words {
    /// One of two, as it stands.
    pub(super) fn pick(self, vi: &'static str, en: &'static str) -> &'static str {
        match self.0 {
            Language::Vi => vi,
            Language::En => en,
        }
    }

    /// One of two.
    pub(super) fn say(self, vi: &str, en: &str) -> String {
        match self.0 {
            Language::Vi => vi.to_owned(),
            Language::En => en.to_owned(),
        }
    }

    pub(super) fn text(self, text: &Text) -> &str {
        text.get(self.0)
    }

    pub(super) fn day(self, day: Date) -> String {
        date(day).get(self.0).to_owned()
    }

    /// Why an answer is not sound, and what to do.
    pub(super) fn unsound(self, why: Unsound) -> String {
        match why {
            Unsound::Missing => self.say("Xin điền hoặc chọn mục này.", "Please fill this in."),
            Unsound::TooLong => self.say("Quá dài. Xin viết ngắn hơn.", "This is too long. Please shorten it."),
            Unsound::WrongKind => self.say(
                "Không đúng dạng. Xin viết lại theo hướng dẫn của mục này.",
                "This is not of the right form. Please write it as the hint says.",
            ),
            Unsound::Pattern => self.say(
                "Không đúng mẫu. Xin kiểm tra lại từng chữ số.",
                "This does not look right. Please check each sign.",
            ),
            Unsound::OutOfRange => {
                self.say("Ngoài khoảng cho phép. Xin kiểm tra lại.", "This is out of range. Please check it.")
            }
            Unsound::NotChosen => self.say(
                "Các nguồn dữ liệu ghi khác nhau. Xin chọn giá trị đúng.",
                "The registers disagree. Please choose which is right.",
            ),
            Unsound::Both => self.say(
                "Ông/bà vừa chọn một giá trị vừa ghi giá trị khác. Xin chỉ giữ một.",
                "You chose a value and wrote another one. Please keep only one.",
            ),
            Unsound::FileTooLarge => self.say(
                "Tệp quá lớn. Mỗi tệp không quá 5 MB, tất cả không quá 15 MB.",
                "The file is too large: at most 5 MB each, and 15 MB together.",
            ),
            Unsound::FileKind => {
                self.say("Chỉ nhận tệp PDF, JPEG hoặc PNG.", "Only PDF, JPEG and PNG files are taken.")
            }
        }
    }
}
