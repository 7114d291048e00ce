//! Where the boxes of a picture stand: in columns, so that everything stands right of what it needs.
//!
//! The usual three steps of a layered drawing: give each node a column, order the nodes of each
//! column so that few lines cross, then move them up and down until lines are nearly straight.

use std::collections::{HashMap, HashSet};

use super::{Picture, label};
use crate::plan::Id;
use crate::view::text::{cut, width};

/// A character of the monospaced font, at the size of a box's name.
const CHARACTER: f64 = 7.5;
const WIDEST_NAME: usize = 36;
const BOX_HEIGHT: f64 = 40.0;
/// Room for a line that passes through a column.
const LANE_HEIGHT: f64 = 10.0;
const GAP: f64 = 14.0;
const BETWEEN_COLUMNS: f64 = 64.0;
const BETWEEN_LANES: f64 = 28.0;
const BOX_PADDING: f64 = 12.0;
const SWEEPS: usize = 16;

#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    pub boxes: Vec<Rectangle>,
    pub lines: Vec<Line>,
    pub width: f64,
    pub height: f64,
}

/// The box of one node, in the order of the picture's nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Rectangle {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    pub kind: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub from: usize,
    pub to: usize,
    /// Where it leaves a column and where it enters the next, in pairs.
    pub points: Vec<(f64, f64)>,
}

pub fn layout(picture: &Picture) -> Layout {
    let mut layers = Layers::new(picture);
    layers.untangle();
    layers.straighten();
    layers.part();
    layers.place(picture)
}

/// A box, or a lane that a line takes through a column between its ends.
struct Cell {
    column: usize,
    /// The node whose box this is.
    node: Option<usize>,
    lane: Lane,
    before: Vec<usize>,
    after: Vec<usize>,
    /// The middle.
    y: f64,
}

/// Bands from top to bottom: how a connection comes in stands apart from what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Inside,
    Doors,
}

impl Lane {
    fn of(id: &Id) -> Self {
        match id.kind() {
            "gateway" | "port" | "tunnel" | "connector" => Self::Doors,
            _ => Self::Inside,
        }
    }
}

struct Layers {
    cells: Vec<Cell>,
    /// The cells of each column, from top to bottom.
    columns: Vec<Vec<usize>>,
    /// Each line with the cells that it visits, its ends included.
    routes: Vec<Vec<usize>>,
}

impl Layers {
    fn new(picture: &Picture) -> Self {
        let column_of = columns(picture);
        let mut layers = Self { cells: Vec::new(), columns: Vec::new(), routes: Vec::new() };
        let lane_of = |node: usize| Lane::of(&picture.nodes[node].id);
        for (node, column) in column_of.iter().enumerate() {
            layers.cell(*column, Some(node), lane_of(node));
        }
        let mut joined: HashSet<(usize, usize)> = HashSet::new();
        // Lines of one origin share their lanes, and part only before their last column.
        let mut lanes: HashMap<(usize, usize), usize> = HashMap::new();
        for (needed, by) in picture.edges() {
            let mut route = vec![needed];
            for column in column_of[needed] + 1..column_of[by] {
                let lane = lanes
                    .entry((needed, column))
                    .or_insert_with(|| layers.cell(column, None, lane_of(needed)));
                route.push(*lane);
            }
            route.push(by);
            for pair in route.windows(2) {
                if joined.insert((pair[0], pair[1])) {
                    layers.cells[pair[0]].after.push(pair[1]);
                    layers.cells[pair[1]].before.push(pair[0]);
                }
            }
            layers.routes.push(route);
        }
        for column in &mut layers.columns {
            column.sort_by_key(|cell| layers.cells[*cell].lane);
        }
        layers
    }

    fn cell(&mut self, column: usize, node: Option<usize>, lane: Lane) -> usize {
        let at = self.cells.len();
        self.cells.push(Cell { column, node, lane, before: Vec::new(), after: Vec::new(), y: 0.0 });
        if self.columns.len() <= column {
            self.columns.resize(column + 1, Vec::new());
        }
        self.columns[column].push(at);
        at
    }

    /// Sweeps over the columns, there and back, and keeps the order with the fewest crossings.
    fn untangle(&mut self) {
        let mut best = (self.crossings(), self.columns.clone());
        for sweep in 0..SWEEPS {
            let forth = sweep % 2 == 0;
            let count = self.columns.len();
            for step in 1..count {
                self.sort_by_neighbours(if forth { step } else { count - 1 - step }, forth);
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.columns.clone());
            }
            if best.0 == 0 {
                break;
            }
        }
        self.columns = best.1;
    }

    fn sort_by_neighbours(&mut self, column: usize, look_before: bool) {
        let beside = if look_before { column - 1 } else { column + 1 };
        let place = self.places(beside);
        let mut cells = std::mem::take(&mut self.columns[column]);
        let wish = |cell: usize, now: usize| {
            let cell = &self.cells[cell];
            let neighbours = if look_before { &cell.before } else { &cell.after };
            mean(neighbours.iter().map(|at| place[at])).unwrap_or(as_f64(now))
        };
        let mut wishes: Vec<(f64, usize)> =
            cells.iter().enumerate().map(|(now, cell)| (wish(*cell, now), *cell)).collect();
        let lane = |cell: usize| self.cells[cell].lane;
        wishes.sort_by(|a, b| lane(a.1).cmp(&lane(b.1)).then(a.0.total_cmp(&b.0)));
        cells.clear();
        cells.extend(wishes.into_iter().map(|(_, cell)| cell));
        self.columns[column] = cells;
    }

    fn places(&self, column: usize) -> HashMap<usize, f64> {
        self.columns[column]
            .iter()
            .enumerate()
            .map(|(place, cell)| (*cell, as_f64(place)))
            .collect()
    }

    /// Counted by how many line ends come in the wrong order, as in a merge sort.
    fn crossings(&self) -> usize {
        let between = |columns: &[Vec<usize>]| {
            let place: HashMap<usize, usize> =
                columns[1].iter().enumerate().map(|(place, cell)| (*cell, place)).collect();
            let mut ends: Vec<usize> = Vec::new();
            for cell in &columns[0] {
                let mut after: Vec<usize> =
                    self.cells[*cell].after.iter().map(|at| place[at]).collect();
                after.sort_unstable();
                ends.extend(after);
            }
            inversions(&mut ends)
        };
        self.columns.windows(2).map(between).sum()
    }

    fn straighten(&mut self) {
        for column in 0..self.columns.len() {
            let gaps = self.offsets(column);
            for (cell, y) in self.columns[column].clone().into_iter().zip(gaps) {
                self.cells[cell].y = y;
            }
        }
        for sweep in 0..SWEEPS {
            let count = self.columns.len();
            for step in 0..count {
                self.align(if sweep % 2 == 0 { step } else { count - 1 - step });
            }
        }
    }

    /// Moves the lower band below everything of the upper one.
    fn part(&mut self) {
        let of = |lane: Lane| self.cells.iter().filter(move |cell| cell.lane == lane);
        let bottom = of(Lane::Inside).map(|cell| cell.y).reduce(f64::max);
        let top = of(Lane::Doors).map(|cell| cell.y).reduce(f64::min);
        let (Some(bottom), Some(top)) = (bottom, top) else { return };
        let down = (bottom - top + BOX_HEIGHT + BETWEEN_LANES).max(0.0);
        for cell in self.cells.iter_mut().filter(|cell| cell.lane == Lane::Doors) {
            cell.y += down;
        }
    }

    /// Moves a column's cells as near to their neighbours as their order and size allow.
    fn align(&mut self, column: usize) {
        let offsets = self.offsets(column);
        let cells = self.columns[column].clone();
        let wishes: Vec<f64> = cells
            .iter()
            .zip(&offsets)
            .map(|(cell, offset)| {
                let cell = &self.cells[*cell];
                let neighbours = cell.before.iter().chain(&cell.after);
                mean(neighbours.map(|at| self.cells[*at].y)).unwrap_or(cell.y) - offset
            })
            .collect();
        for ((cell, offset), wish) in cells.iter().zip(&offsets).zip(ascending(&wishes)) {
            self.cells[*cell].y = wish + offset;
        }
    }

    /// The middles of a column's cells if they are packed from zero.
    fn offsets(&self, column: usize) -> Vec<f64> {
        let mut top = 0.0;
        self.columns[column]
            .iter()
            .map(|cell| {
                let height =
                    if self.cells[*cell].node.is_some() { BOX_HEIGHT } else { LANE_HEIGHT };
                let middle = top + height / 2.0;
                top += height + GAP;
                middle
            })
            .collect()
    }

    fn place(&self, picture: &Picture) -> Layout {
        let labels: Vec<(String, String)> = picture
            .nodes
            .iter()
            .map(|node| {
                let (kind, name) = label(node);
                (cut(&kind, WIDEST_NAME), cut(&name, WIDEST_NAME))
            })
            .collect();
        let box_width = |node: usize| {
            let (kind, name) = &labels[node];
            as_f64(width(kind).max(width(name))) * CHARACTER + 2.0 * BOX_PADDING
        };
        let mut lefts = Vec::new();
        let mut widths = Vec::new();
        let mut left = 0.0;
        for column in &self.columns {
            let nodes = column.iter().filter_map(|cell| self.cells[*cell].node);
            let widest = nodes.map(box_width).fold(0.0, f64::max);
            lefts.push(left);
            widths.push(widest);
            left += widest + BETWEEN_COLUMNS;
        }
        let top = self.cells.iter().map(|cell| cell.y).fold(f64::INFINITY, f64::min);
        let bottom = self.cells.iter().map(|cell| cell.y).fold(0.0, f64::max);
        let shift = BOX_HEIGHT / 2.0 - if top.is_finite() { top } else { 0.0 };

        let boxes = (0..picture.nodes.len())
            .map(|node| {
                let cell = &self.cells[node];
                let (kind, name) = labels[node].clone();
                Rectangle {
                    x: lefts[cell.column],
                    y: cell.y + shift - BOX_HEIGHT / 2.0,
                    width: widths[cell.column],
                    height: BOX_HEIGHT,
                    kind,
                    name,
                }
            })
            .collect();
        let lines =
            self.routes.iter().map(|route| self.line(route, &lefts, &widths, shift)).collect();
        Layout {
            boxes,
            lines,
            width: (left - BETWEEN_COLUMNS).max(0.0),
            height: (bottom + shift + BOX_HEIGHT / 2.0).max(0.0),
        }
    }

    fn line(&self, route: &[usize], lefts: &[f64], widths: &[f64], shift: f64) -> Line {
        let (first, last) = (route[0], route[route.len() - 1]);
        let mut points = Vec::with_capacity(route.len() * 2);
        for at in route {
            let cell = &self.cells[*at];
            let (left, y) = (lefts[cell.column], cell.y + shift);
            if *at != first {
                points.push((left, y));
            }
            if *at != last {
                points.push((left + widths[cell.column], y));
            }
        }
        Line { from: first, to: last, points }
    }
}

/// Right of everything it needs; what needs nothing stands just left of what needs it.
fn columns(picture: &Picture) -> Vec<usize> {
    let count = picture.nodes.len();
    let mut column = vec![0_usize; count];
    for (at, needs) in picture.needs.iter().enumerate() {
        column[at] = needs.iter().map(|need| column[*need] + 1).max().unwrap_or(0);
    }
    let mut first_user = vec![usize::MAX; count];
    for (needed, by) in picture.edges() {
        first_user[needed] = first_user[needed].min(column[by]);
    }
    for (at, needs) in picture.needs.iter().enumerate() {
        if needs.is_empty() && first_user[at] != usize::MAX {
            column[at] = first_user[at] - 1;
        }
    }
    column
}

/// The ascending numbers nearest to the given ones, in the sense of least squares.
///
/// Neighbours that are out of order are pooled and share their mean.
fn ascending(wishes: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for wish in wishes {
        pools.push((*wish, 1));
        while let [.., (before, n), (after, m)] = pools[..]
            && before > after
        {
            pools.pop();
            pools.pop();
            let mean = (before * as_f64(n) + after * as_f64(m)) / as_f64(n + m);
            pools.push((mean, n + m));
        }
    }
    pools.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count)).collect()
}

/// How many pairs stand in the wrong order; sorts the numbers while counting.
fn inversions(numbers: &mut Vec<usize>) -> usize {
    if numbers.len() < 2 {
        return 0;
    }
    let mut right = numbers.split_off(numbers.len() / 2);
    let mut count = inversions(numbers) + inversions(&mut right);
    let left = std::mem::take(numbers);
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        if a <= b {
            numbers.extend(left.next());
        } else {
            numbers.extend(right.next());
            count += left.len();
        }
    }
    numbers.extend(left);
    numbers.extend(right);
    count
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) =
        numbers.fold((0.0, 0_usize), |(sum, count), number| (sum + number, count + 1));
    (count > 0).then(|| sum / as_f64(count))
}

/// Counts of boxes and columns are far below what a float holds exactly.
pub fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Node, Told};
    use super::*;

    #[test]
    fn inversions_are_the_pairs_in_wrong_order() {
        assert_eq!(inversions(&mut vec![1, 2, 2, 3]), 0);
        assert_eq!(inversions(&mut vec![3, 2, 1]), 3);
        assert_eq!(inversions(&mut vec![2, 3, 1, 1]), 4);
    }

    #[test]
    fn numbers_in_order_stay_and_others_meet_in_the_middle() {
        assert_eq!(ascending(&[1.0, 2.0, 5.0]), [1.0, 2.0, 5.0]);
        assert_eq!(ascending(&[4.0, 2.0, 9.0]), [3.0, 3.0, 9.0]);
    }

    fn picture() -> impl Strategy<Value = Picture> {
        prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..4), 1..40)
            .prop_map(|wishes| {
                let kinds = ["node", "gateway", "port"];
                let id = |at: usize| crate::plan::Id::new(kinds[at % kinds.len()], at);
                let node = |at| Node { id: id(at), told: Told::default(), objects: None };
                let nodes = (0..wishes.len()).map(node).collect();
                let needs = wishes
                    .iter()
                    .enumerate()
                    .map(|(at, wish)| {
                        // The first has nothing before it that it could need.
                        let wish = if at == 0 { &[][..] } else { wish };
                        let mut needs: Vec<usize> =
                            wish.iter().map(|need| need.index(at)).collect();
                        needs.sort_unstable();
                        needs.dedup();
                        needs
                    })
                    .collect();
                Picture { title: "random".to_owned(), nodes, needs }
            })
    }

    proptest! {
        #[test]
        fn boxes_never_meet_and_lines_lead_to_the_right(picture in picture()) {
            let layout = layout(&picture);
            for (at, a) in layout.boxes.iter().enumerate() {
                prop_assert!(a.x >= 0.0 && a.y >= -0.001);
                prop_assert!(a.x + a.width <= layout.width + 0.001);
                prop_assert!(a.y + a.height <= layout.height + 0.001);
                for b in &layout.boxes[at + 1..] {
                    let apart = a.x + a.width < b.x
                        || b.x + b.width < a.x
                        || a.y + a.height < b.y
                        || b.y + b.height < a.y;
                    prop_assert!(apart, "{a:?} meets {b:?}");
                }
            }
            for line in &layout.lines {
                prop_assert!(line.points.windows(2).all(|pair| pair[0].0 <= pair[1].0));
                let (from, to) = (&layout.boxes[line.from], &layout.boxes[line.to]);
                prop_assert!(from.x + from.width < to.x);
            }
        }
    }
}
