//! The paper set on pages of A4: which line stands where, and to which tag it belongs.

use super::face::{Face, Fonts, Line, Style};
use super::story::{Block, Said, Story};

/// Points.
pub(super) const WIDTH: f32 = 595.276;
/// Points.
pub(super) const HEIGHT: f32 = 841.89;

const LEFT: f32 = 50.0;
const RIGHT: f32 = WIDTH - 50.0;
const TOP: f32 = 52.0;
const BOTTOM: f32 = HEIGHT - 62.0;
const GAP: f32 = 8.0;

/// What a part of the paper is, for whoever cannot see it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Heading { level: u16, title: String },
    Paragraph,
    Table { summary: &'static str },
    Head,
    Body,
    Row,
    ColumnHead,
    RowHead,
    Cell,
    List,
    Item,
    ItemBody,
}

/// A node of the tag tree; lines belong to nodes without children.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) children: Vec<usize>,
}

/// A line on a page; its point is the left end of its base line, from the page's upper left corner.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) line: Line,
    /// The node that it belongs to; none for what only helps the eye.
    pub(super) node: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) pieces: Vec<Piece>,
    /// Heights at which a thin line crosses the page.
    pub(super) rules: Vec<f32>,
}

/// A place to which a bookmark leads.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) level: u16,
    pub(super) title: String,
    pub(super) page: usize,
    pub(super) y: f32,
}

/// Everything that is drawn.
#[derive(Debug, Default)]
pub(super) struct Pages {
    pub(super) pages: Vec<Page>,
    pub(super) nodes: Vec<Node>,
    /// The nodes under the root, in reading order.
    pub(super) roots: Vec<usize>,
    pub(super) marks: Vec<Mark>,
}

pub(super) fn set(story: &Story, fonts: &Fonts) -> Pages {
    let mut setter = Setter { fonts, out: Pages::default(), page: Page::default(), y: TOP };
    for block in &story.blocks {
        match block {
            Block::Heading { level, said } => setter.heading(*level, said),
            Block::Paragraph(said) => {
                let node = setter.root(Kind::Paragraph);
                setter.flow(said, LEFT, RIGHT - LEFT, node);
            }
            Block::Table { summary, widths, head, rows } => setter.table(summary, widths, head, rows),
            Block::List(items) => setter.list(items),
        }
        setter.y += GAP;
    }
    setter.turn();
    let mut out = setter.out;
    number(&mut out.pages, &story.foot, fonts);
    out
}

struct Setter<'f> {
    fonts: &'f Fonts,
    out: Pages,
    page: Page,
    /// The top of what comes next.
    y: f32,
}

/// Where a column begins and how wide its text is, in points.
#[derive(Clone, Copy)]
struct Column {
    x: f32,
    width: f32,
}

/// The head of a table, which is there again on each page that the table goes on to.
#[derive(Clone, Copy)]
struct Head<'h> {
    columns: &'h [Column],
    said: &'h [Vec<Said>],
}

/// A cell of a row that is being set: where it begins, and the lines that are still to be drawn.
struct Cell {
    x: f32,
    node: Option<usize>,
    lines: std::vec::IntoIter<Line>,
}

impl Setter<'_> {
    fn root(&mut self, kind: Kind) -> usize {
        let node = self.node(kind, None);
        self.out.roots.push(node);
        node
    }

    fn node(&mut self, kind: Kind, parent: Option<usize>) -> usize {
        let at = self.out.nodes.len();
        self.out.nodes.push(Node { kind, children: Vec::new() });
        if let Some(parent) = parent.and_then(|parent| self.out.nodes.get_mut(parent)) {
            parent.children.push(at);
        }
        at
    }

    /// Ends the page.
    fn turn(&mut self) {
        self.out.pages.push(std::mem::take(&mut self.page));
        self.y = TOP;
    }

    fn put(&mut self, line: Line, x: f32, top: f32, node: Option<usize>) {
        let y = top + line.style.size * 1.07;
        self.page.pieces.push(Piece { x, y, line, node });
    }

    fn lines(&self, said: &[Said], width: f32) -> Vec<Line> {
        said.iter().flat_map(|(style, text)| self.fonts.lines(*style, text, width)).collect()
    }

    fn heading(&mut self, level: u16, said: &[Said]) {
        // A heading at the foot of a page, with its text on the next, belongs to nothing.
        if self.y + 90.0 > BOTTOM {
            self.turn();
        }
        let title = said.first().map(|(_, text)| text.clone()).unwrap_or_default();
        let page = self.out.pages.len();
        self.out.marks.push(Mark { level, title: title.clone(), page, y: self.y });
        let node = self.root(Kind::Heading { level, title });
        self.flow(said, LEFT, RIGHT - LEFT, node);
    }

    /// Texts one below the other, over as many pages as they need.
    fn flow(&mut self, said: &[Said], x: f32, width: f32, node: usize) {
        for line in self.lines(said, width) {
            let height = line.height();
            if self.y + height > BOTTOM {
                self.turn();
            }
            let top = self.y;
            self.put(line, x, top, Some(node));
            self.y += height;
        }
    }

    fn list(&mut self, items: &[Vec<Said>]) {
        let list = self.root(Kind::List);
        for said in items {
            let item = self.node(Kind::Item, Some(list));
            let body = self.node(Kind::ItemBody, Some(item));
            self.flow(said, LEFT + 12.0, RIGHT - LEFT - 12.0, body);
            self.y += 3.0;
        }
    }

    fn table(&mut self, summary: &'static str, widths: &[f32], head: &[Vec<Said>], rows: &[Vec<Vec<Said>>]) {
        let table = self.root(Kind::Table { summary });
        let (of_head, of_body) = (self.node(Kind::Head, Some(table)), self.node(Kind::Body, Some(table)));
        let of_head = self.node(Kind::Row, Some(of_head));
        let columns: Vec<Column> = widths
            .iter()
            .scan(LEFT, |x, part| {
                let (begin, width) = (*x, part * (RIGHT - LEFT));
                *x += width;
                Some(Column { x: begin, width: width - GAP })
            })
            .collect();
        let nodes: Vec<Option<usize>> = head.iter().map(|_| Some(self.node(Kind::ColumnHead, Some(of_head)))).collect();
        let cells = self.cells(&columns, head, &nodes);
        self.row(cells, None);
        for row in rows {
            let of_row = self.node(Kind::Row, Some(of_body));
            let kind = |at: usize| if at == 0 { Kind::RowHead } else { Kind::Cell };
            let nodes: Vec<Option<usize>> = (0..row.len()).map(|at| Some(self.node(kind(at), Some(of_row)))).collect();
            let cells = self.cells(&columns, row, &nodes);
            self.row(cells, Some(Head { columns: &columns, said: head }));
        }
    }

    fn cells(&self, columns: &[Column], said: &[Vec<Said>], nodes: &[Option<usize>]) -> Vec<Cell> {
        let places = columns.iter().zip(nodes);
        let cell = |((column, node), said): ((&Column, &Option<usize>), &Vec<Said>)| {
            let lines = self.lines(said, column.width).into_iter();
            Cell { x: column.x, node: *node, lines }
        };
        places.zip(said).map(cell).collect()
    }

    /// One row; where it does not fit, it goes on on the next page, below the table's head once more.
    fn row(&mut self, mut cells: Vec<Cell>, head: Option<Head<'_>>) {
        let height = cells.iter().map(|cell| cell.lines.as_slice().iter().map(Line::height).sum()).fold(0.0, f32::max);
        if self.y + height > BOTTOM && height <= BOTTOM - TOP - 60.0 {
            self.turn_within(head);
        }
        loop {
            let top = self.y + 3.0;
            let mut deepest = top;
            for cell in &mut cells {
                let mut y = top;
                // Cell by cell, so that what reads a page in the order of its drawing reads each to its end.
                while cell.lines.as_slice().first().is_some_and(|line| y + line.height() <= BOTTOM) {
                    let Some(line) = cell.lines.next() else { break };
                    let height = line.height();
                    self.put(line, cell.x, y, cell.node);
                    y += height;
                }
                deepest = deepest.max(y);
            }
            self.y = deepest + 3.0;
            self.page.rules.push(self.y);
            if cells.iter().all(|cell| cell.lines.as_slice().is_empty()) {
                return;
            }
            self.turn_within(head);
        }
    }

    /// The next page within a table: its head is there again, for the eye alone.
    fn turn_within(&mut self, head: Option<Head<'_>>) {
        self.turn();
        if let Some(Head { columns, said }) = head {
            let cells = self.cells(columns, said, &vec![None; said.len()]);
            self.row(cells, None);
        }
    }
}

/// Numbers the pages, when it is known how many there are.
fn number(pages: &mut [Page], foot: &str, fonts: &Fonts) {
    let style = Style { face: Face::Regular, size: 8.5, lang: None };
    let count = pages.len();
    for (at, page) in (1_usize..).zip(pages) {
        let right = format!("Trang {at}/{count}");
        let x = RIGHT - fonts.width(style, &right);
        for (x, text) in [(LEFT, foot), (x, right.as_str())] {
            // Wider than any page: a foot is one line.
            let lines = fonts.lines(style, text, f32::MAX);
            page.pieces.extend(lines.into_iter().map(|line| Piece { x, y: HEIGHT - 36.0, line, node: None }));
        }
    }
}
