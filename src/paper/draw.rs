//! The pages drawn, each line under its tag: the home of the library that writes PDF.

use std::num::NonZeroU16;

use krilla::color::rgb;
use krilla::configure::{Accessibility, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::Fill;
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, ListNumbering, SpanTag, TableHeaderScope, Tag, TagGroup, TagKind,
    TagTree,
};
use krilla::text::{Font, TextDirection};
use krilla::{Document, SerializeSettings};

use super::Error;
use super::face::{Face, Fonts};
use super::page::{HEIGHT, Kind, Mark, Page, Pages, Piece, WIDTH};
use super::story::Story;
use crate::calendar::vietnam;
use crate::dossiers::Confirmed;

/// The language of the document.
const LANGUAGE: &str = "vi";

pub(super) fn draw(confirmed: &Confirmed, story: &Story, pages: &Pages, fonts: &Fonts) -> Result<Vec<u8>, Error> {
    let failed = |why: String| Error::Pdf { dossier: confirmed.dossier.clone(), why };
    let font = |bytes: &'static [u8]| Font::new(bytes.into(), 0).ok_or(Error::Font);
    let (regular, bold) = (font(fonts.regular)?, font(fonts.bold)?);
    let configuration = ConfigurationBuilder::new().with_accessibility_validator(Accessibility::UA1).finish();
    let configuration = configuration.map_err(|_| failed("the library knows no PDF/UA-1".into()))?;
    let mut document = Document::new_with(SerializeSettings { configuration, ..SerializeSettings::default() });
    document.set_metadata(metadata(confirmed, story));
    document.set_outline(outline(&pages.marks));
    let mut drawn: Vec<Vec<Identifier>> = pages.nodes.iter().map(|_| Vec::new()).collect();
    for page in &pages.pages {
        let Some(settings) = PageSettings::from_wh(WIDTH, HEIGHT) else { return Err(failed("no page".into())) };
        let mut sheet = document.start_page_with(settings);
        let mut surface = sheet.surface();
        draw_page(&mut surface, page, [&regular, &bold], &mut drawn);
        surface.finish();
        sheet.finish();
    }
    let mut tree = TagTree::new().with_lang(Some(LANGUAGE.into()));
    pages.roots.iter().filter_map(|root| group(pages, &drawn, *root)).for_each(|group| tree.push(group));
    document.set_tag_tree(tree);
    // Its words name what is wrong with the file, and nothing that the file says.
    document.finish().map_err(|error| failed(error.to_string()))
}

fn metadata(confirmed: &Confirmed, story: &Story) -> Metadata {
    let at = confirmed.confirmed_at.to_zoned(vietnam()).datetime();
    let small = |number: i8| u8::try_from(number).unwrap_or(0);
    let date = DateTime::new(u16::try_from(at.year()).unwrap_or(0))
        .month(small(at.month()))
        .day(small(at.day()))
        .hour(small(at.hour()))
        .minute(small(at.minute()))
        .second(small(at.second()))
        .utc_offset_hour(7);
    Metadata::new()
        .title(story.title.clone())
        .language(LANGUAGE.into())
        .creator("chudong".into())
        .document_id(format!("{} {}", confirmed.dossier, confirmed.version))
        .creation_date(date)
}

/// Bookmarks: the second level below the first.
fn outline(marks: &[Mark]) -> Outline {
    let leaf = |mark: &Mark| {
        let place = XyzDestination::new(mark.page, Point::from_xy(0.0, mark.y));
        OutlineNode::new(mark.title.clone(), place).with_open(true)
    };
    let mut outline = Outline::new();
    let mut above: Option<OutlineNode> = None;
    for mark in marks {
        match &mut above {
            Some(above) if mark.level > 1 => above.push_child(leaf(mark)),
            _ => {
                if let Some(whole) = above.replace(leaf(mark)) {
                    outline.push_child(whole);
                }
            }
        }
    }
    if let Some(whole) = above {
        outline.push_child(whole);
    }
    outline
}

fn draw_page(surface: &mut Surface<'_>, page: &Page, fonts: [&Font; 2], drawn: &mut [Vec<Identifier>]) {
    for y in &page.rules {
        let rect = Rect::from_xywh(50.0, *y, WIDTH - 100.0, 0.4);
        let path = rect.and_then(|rect| {
            let mut path = PathBuilder::new();
            path.push_rect(rect);
            path.finish()
        });
        surface.start_tagged(ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout)));
        if let Some(path) = path {
            let grey = Fill { paint: rgb::Color::new(150, 150, 150).into(), ..Fill::default() };
            surface.set_fill(Some(grey));
            surface.draw_path(&path);
            surface.set_fill(None);
        }
        surface.end_tagged();
    }
    for piece in &page.pieces {
        let Piece { x, y, line, node } = piece;
        let span = SpanTag::empty().with_lang(line.style.lang).with_actual_text(line.actual.as_deref());
        let tag = match node {
            Some(_) => ContentTag::Span(span),
            None => ContentTag::Artifact(Artifact::with_kind(ArtifactType::PaginationOther)),
        };
        let identifier = surface.start_tagged(tag);
        let [regular, bold] = fonts;
        let font = if line.style.face == Face::Bold { bold } else { regular };
        let (from, direction) = (Point::from_xy(*x, *y), TextDirection::LeftToRight);
        surface.draw_text(from, font.clone(), line.style.size, &line.text, false, direction);
        surface.end_tagged();
        if let Some(drawn) = node.and_then(|node| drawn.get_mut(node)) {
            drawn.push(identifier);
        }
    }
}

/// A node with everything below it.
fn group(pages: &Pages, drawn: &[Vec<Identifier>], at: usize) -> Option<TagGroup> {
    let node = pages.nodes.get(at)?;
    let mut group = TagGroup::new(tag(&node.kind));
    node.children.iter().filter_map(|child| self::group(pages, drawn, *child)).for_each(|child| group.push(child));
    drawn.get(at).into_iter().flatten().for_each(|identifier| group.push(*identifier));
    Some(group)
}

fn tag(kind: &Kind) -> TagKind {
    match kind {
        Kind::Heading { level, title } => {
            Tag::Hn(NonZeroU16::new(*level).unwrap_or(NonZeroU16::MIN), Some(title.clone())).into()
        }
        Kind::Paragraph => Tag::P.into(),
        Kind::Table { summary } => Tag::Table.with_summary(Some((*summary).to_owned())).into(),
        Kind::Head => Tag::THead.into(),
        Kind::Body => Tag::TBody.into(),
        Kind::Row => Tag::TR.into(),
        Kind::ColumnHead => Tag::TH(TableHeaderScope::Column).into(),
        Kind::RowHead => Tag::TH(TableHeaderScope::Row).into(),
        Kind::Cell => Tag::TD.into(),
        Kind::List => Tag::L(ListNumbering::None).into(),
        Kind::Item => Tag::LI.into(),
        Kind::ItemBody => Tag::LBody.into(),
    }
}
