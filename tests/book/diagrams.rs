//! The diagrams: three are drawn from the source, the others by hand. All have one style: `style.svg` beside this.

use std::fs;

use roomd::connection::{Phase, State, TRANSITIONS, Trigger};
use roomd::hub::member_life::{MEMBER_TRANSITIONS, Membership};

use super::{is_to_overwrite, read, root};

const FOLDER: &str = "docs/diagrams";
const STYLE: &str = include_str!("style.svg");

/// The diagrams that follow from the source, against what follows.
pub(super) fn generated() -> Vec<String> {
    let mut faults = Vec::new();
    for (name, drawn) in [("states.svg", states()), ("membership.svg", memberships()), ("layers.svg", layers())] {
        let path = root().join(FOLDER).join(name);
        if fs::read_to_string(&path).unwrap_or_default() == drawn {
            continue;
        }
        match is_to_overwrite() {
            true => fs::write(path, drawn).unwrap(),
            false => faults.push(format!("{FOLDER}/{name} is out of date")),
        }
    }
    faults
}

/// What every diagram must have.
pub(super) fn legible() -> Vec<String> {
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join(FOLDER)).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut text = fs::read_to_string(entry.path()).unwrap();
        if is_to_overwrite()
            && let (Some(start), Some(end)) = (text.find("  <style>"), text.find("</defs>\n"))
            && !text.contains(STYLE)
        {
            text.replace_range(start..end + "</defs>\n".len(), STYLE);
            fs::write(entry.path(), &text).unwrap();
        }
        let parts =
            ["<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=", "<title>", "<desc>", "class=\"paper\"", STYLE];
        for part in parts.iter().filter(|part| !text.contains(*part)) {
            faults.push(format!("{FOLDER}/{name} lacks {}", part.lines().next().unwrap_or_default().trim()));
        }
        for part in ["<script", "href", "<image", "@import", "url(h"].iter().filter(|part| text.contains(*part)) {
            faults.push(format!("{FOLDER}/{name} has {part}"));
        }
    }
    faults
}

fn svg(width: u32, height: u32, title: &str, desc: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n  <title>{title}</title>\n  <desc>{desc}</desc>\n{STYLE}  \
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n"
    )
}

fn words(x: i32, y: i32, class: &str, text: &str) -> String {
    format!("  <text x=\"{x}\" y=\"{y}\" class=\"{class}\">{text}</text>\n")
}

// ---- The life of a connection --------------------------------------------------------------------------------------

const STATE_WIDTH: i32 = 190;
const STATE_HEIGHT: i32 = 58;

/// Where a state is drawn: the middle of its box.
fn place(state: State) -> (i32, i32) {
    match state {
        State::AwaitingHandshake => (115, 50),
        State::AwaitingNext => (115, 190),
        State::Open => (420, 50),
        State::HungUp => (1030, 50),
        State::Closing(Phase::Departing) => (420, 190),
        State::Closing(Phase::AwaitingClose) => (725, 190),
        State::Closing(Phase::DepartingLast) => (1030, 190),
        State::Closing(Phase::Flushing) => (420, 330),
        State::Closing(Phase::FlushingLast) => (725, 330),
        State::Closing(Phase::Draining) => (420, 470),
        State::Ended => (725, 470),
    }
}

/// These two end nearly every state. As arrows they would hide all others, so they are named in the box.
fn is_drawn_as_arrow(&&(_, trigger, to): &&(State, Trigger, State)) -> bool {
    to != State::Ended || !matches!(trigger, Trigger::TimeUp | Trigger::Broken)
}

fn states() -> String {
    let mut pairs: Vec<(State, State)> = Vec::new();
    for &(from, _, to) in TRANSITIONS.iter().filter(is_drawn_as_arrow) {
        if !pairs.contains(&(from, to)) {
            pairs.push((from, to));
        }
    }
    let mut body = String::new();
    for (from, to) in pairs {
        let triggers = TRANSITIONS.iter().filter(|row| (row.0, row.2) == (from, to)).filter(is_drawn_as_arrow);
        let triggers: Vec<String> = triggers.map(|row| format!("{:?}", row.1)).collect();
        body.push_str(&transition(from, to, &triggers));
    }
    let mut all: Vec<State> = Vec::new();
    for state in TRANSITIONS.iter().flat_map(|row| [row.0, row.2]) {
        if !all.contains(&state) {
            all.push(state);
        }
    }
    for state in all {
        let (x, y) = place(state);
        let class = match state {
            State::Open | State::HungUp => "good",
            State::Ended => "bad",
            State::AwaitingHandshake | State::AwaitingNext => "mark",
            State::Closing(_) => "box",
        };
        let (left, top) = (x - STATE_WIDTH / 2, y - STATE_HEIGHT / 2);
        body.push_str(&format!(
            "  <rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{STATE_WIDTH}\" \
             height=\"{STATE_HEIGHT}\" rx=\"8\"/>\n"
        ));
        let name = match state {
            State::Closing(phase) => format!("{phase:?}"),
            state => format!("{state:?}"),
        };
        let ends = TRANSITIONS.iter().filter(|row| row.0 == state && !is_drawn_as_arrow(row));
        let ends: Vec<String> = ends.map(|row| format!("{:?}", row.1)).collect();
        let below = match (state, ends.is_empty()) {
            (State::Ended, _) => "the slot is freed".into(),
            (_, true) => "never ends from here".into(),
            (_, false) => format!("{}: Ended", ends.join(", ")),
        };
        body.push_str(&words(x, y - 3, "middle strong", &name));
        body.push_str(&words(x, y + 17, "middle small", &below));
    }
    let ((left, top), (right, bottom)) = ((312, 148), (1138, 513));
    let frame = format!(
        "  <rect class=\"line dashed\" x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" rx=\"12\"/>\n",
        right - left,
        bottom - top
    );
    let label = words(right - 112, bottom - 10, "small", "Closing, and after");
    let title = "The life of a connection";
    let desc = "States and what leads from one to the next, drawn from TRANSITIONS in src/connection/life.rs by \
                tests/book/diagrams.rs. TimeUp and Broken, which lead to Ended, are named inside the box of the state.";
    svg(1165, 560, title, desc, &(frame + &label + &body))
}

/// An arrow between two boxes, what triggers it beside it.
fn transition(from: State, to: State, triggers: &[String]) -> String {
    let ((x1, y1), (x2, y2)) = (place(from), place(to));
    let (half_width, half_height) = (STATE_WIDTH / 2, STATE_HEIGHT / 2);
    let (path, label, class) = if x1 == x2 && y1 > y2 {
        // The way back, beside the way there.
        (format!("M{} {} V{}", x1 - 20, y1 - half_height, y2 + half_height), (x1 - 92, (y1 + y2) / 2), "small")
    } else if from == State::AwaitingHandshake && to == State::Closing(Phase::Flushing) {
        // Beside the state below.
        let side = x1 + half_width + 25;
        (format!("M{} {} H{side} V{y2} H{}", x1 + half_width, y1 + 18, x2 - half_width), (side + 8, y1 + 70), "small")
    } else if x1 == x2 {
        (
            format!("M{x1} {} V{}", y1 + half_height, y2 - half_height),
            (x1 + 8, (y1 + y2) / 2 + 7 * (triggers.len() / 3) as i32 * 2),
            "small",
        )
    } else if from == State::Closing(Phase::Departing) && y1 == y2 {
        // Below the box between them.
        let (start, end, below) = (x1 + half_width, x2 - half_width, y1 + 55);
        let path = format!("M{start} {} L{} {below} H{} L{end} {}", y1 + 16, start + 60, end - 60, y1 + 16);
        (path, (end - 165, below - 8), "small")
    } else if y1 == y2 {
        (format!("M{} {y1} H{}", x1 + half_width, x2 - half_width), ((x1 + x2) / 2, y1 - 8), "small middle")
    } else if from == State::AwaitingHandshake && to == State::Ended {
        // Around everything that closes.
        let (below, side) = (y2 + half_height + 36, x1 - half_width - 12);
        (format!("M{} {y1} H{side} V{below} H{x2} V{}", x1 - half_width, y2 + half_height), (side + 8, y2), "small")
    } else if x1 < x2 && y1 < y2 && y2 - y1 < 200 {
        (
            format!("M{} {} L{} {}", x1 + half_width, y1 + 18, x2 - 50, y2 - half_height),
            // Where no other words are.
            if from == State::AwaitingNext && to == State::Closing(Phase::FlushingLast) {
                (x2 - 209, y2 - 36)
            } else {
                ((x1 + x2) / 2 + 30, (y1 + y2) / 2 - 14)
            },
            "small",
        )
    } else if x1 < x2 {
        let side = x1 + 40;
        (format!("M{side} {} V{y2} H{}", y1 + half_height, x2 - half_width), (side + 8, y2 - 8), "small")
    } else {
        (
            format!("M{} {} L{} {}", x1 - half_width + 20, y1 + half_height, x2 + half_width, y2 - 18),
            // Where a long arrow begins, for there it is alone.
            if y2 - y1 > 200 { (x1 - 82, y1 + 58) } else { ((x1 + x2) / 2 + 26, (y1 + y2) / 2 + 20) },
            "small",
        )
    };
    let mut drawn = format!("  <path class=\"line\" marker-end=\"url(#arrow)\" d=\"{path}\"/>\n");
    // Of several triggers each has its line; the last stands where a single one would.
    for (at, trigger) in triggers.iter().enumerate() {
        let up = (triggers.len() - 1 - at) as i32 * 15;
        drawn.push_str(&words(label.0, label.1 + 4 - up, class, trigger));
    }
    drawn
}

// ---- The life of a member ------------------------------------------------------------------------------------------

/// The middle of its box.
fn place_of(membership: Membership) -> (i32, i32) {
    match membership {
        Membership::Outside => (115, 55),
        Membership::Joining => (425, 55),
        Membership::CatchingUp => (735, 55),
        Membership::Member => (1045, 55),
        Membership::Waiting => (1355, 55),
        Membership::JoinCancelled => (425, 205),
        Membership::Leaving => (1045, 205),
    }
}

/// What a member is while it is that.
fn note_of(membership: Membership) -> &'static str {
    match membership {
        Membership::Outside => "in no room",
        Membership::Joining => "asks to be in",
        Membership::CatchingUp => "in, reads what it missed",
        Membership::Member => "in, says and hears",
        Membership::Waiting => "in, waits for an answer",
        Membership::JoinCancelled => "gone before it was in",
        Membership::Leaving => "in, on the way out",
    }
}

fn memberships() -> String {
    let mut body = String::new();
    for (from, trigger, to) in MEMBER_TRANSITIONS {
        body.push_str(&member_arrow(*from, *to, &format!("{trigger:?}")));
    }
    let mut all: Vec<Membership> = Vec::new();
    for membership in MEMBER_TRANSITIONS.iter().flat_map(|row| [row.0, row.2]) {
        if !all.contains(&membership) {
            all.push(membership);
        }
    }
    for membership in all {
        let (x, y) = place_of(membership);
        let class = match membership {
            Membership::Member => "good",
            Membership::Outside => "mark",
            _ => "box",
        };
        let (left, top) = (x - STATE_WIDTH / 2, y - STATE_HEIGHT / 2);
        body.push_str(&format!(
            "  <rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{STATE_WIDTH}\" \
             height=\"{STATE_HEIGHT}\" rx=\"8\"/>\n"
        ));
        body.push_str(&words(x, y - 3, "middle strong", &format!("{membership:?}")));
        body.push_str(&words(x, y + 17, "middle small", note_of(membership)));
    }
    let desc = "Memberships and what leads from one to the next, drawn from MEMBER_TRANSITIONS in \
                src/hub/member_life.rs by tests/book/diagrams.rs.";
    svg(1470, 300, "The life of a member", desc, &body)
}

fn member_arrow(from: Membership, to: Membership, trigger: &str) -> String {
    let ((x1, y1), (x2, y2)) = (place_of(from), place_of(to));
    let (half_width, half_height) = (STATE_WIDTH / 2, STATE_HEIGHT / 2);
    let (path, label) = if y1 == y2 && x1 < x2 {
        (format!("M{} {} H{}", x1 + half_width, y1 - 10, x2 - half_width), ((x1 + x2) / 2, y1 - 16))
    } else if y1 == y2 {
        (format!("M{} {} H{}", x1 - half_width, y1 + 12, x2 + half_width), ((x1 + x2) / 2, y1 + 28))
    } else if x1 == x2 {
        (format!("M{x1} {} V{}", y1 + half_height, y2 - half_height), (x1 + 62, (y1 + y2) / 2 + 5))
    } else if to == Membership::Outside && from == Membership::Leaving {
        // Below everything.
        let (below, inset) = (y1 + half_height + 36, x2 - 55);
        (format!("M{x1} {} V{below} H{inset} V{}", y1 + half_height, y2 + half_height), ((x1 + x2) / 2, below - 8))
    } else if y1 < y2 {
        let (end, beside) = if x1 < x2 { (x2 - 60, -66) } else { (x2 + 60, 66) };
        let label = ((x1 + end) / 2 + beside, (y1 + y2) / 2 + 5);
        (format!("M{x1} {} L{end} {}", y1 + half_height, y2 - half_height), label)
    } else {
        (
            format!("M{} {y1} L{} {}", x1 - half_width, x2 + 30, y2 + half_height),
            ((x1 - half_width + x2 + 30) / 2 - 62, (y1 + y2) / 2 + 12),
        )
    };
    let arrow = format!("  <path class=\"line\" marker-end=\"url(#arrow)\" d=\"{path}\"/>\n");
    arrow + &words(label.0, label.1, "small middle", trigger)
}

// ---- The layers ----------------------------------------------------------------------------------------------------

/// From the table of tests/layering.rs: a comment begins a layer, a row is a file of it.
fn layers() -> String {
    let table = read("tests/layering.rs");
    let table =
        table.split("const MODULES").nth(1).and_then(|rest| rest.split("\n];").next()).expect("the table of modules");
    let mut layers: Vec<(String, Vec<&str>)> = Vec::new();
    for line in table.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("// ") {
            match layers.last_mut() {
                // A comment of two lines.
                Some((title, files)) if files.is_empty() => *title = format!("{title} {comment}"),
                _ => layers.push((comment.to_owned(), Vec::new())),
            }
        } else if let Some(file) =
            line.trim_start_matches('(').strip_prefix('"').and_then(|rest| rest.split('"').next())
            && let Some((_, files)) = layers.last_mut()
            && (line.starts_with("(\"") || file.ends_with('/') && line == format!("\"{file}\","))
        {
            files.push(file);
        }
    }
    let mut body = String::new();
    let mut top = 20;
    for (title, files) in layers.iter().rev() {
        let rows = files.iter().filter(|file| **file != "lib.rs").collect::<Vec<_>>();
        let lines = rows.len().div_ceil(5).max(1) as i32;
        let height = 46 + lines * 44;
        body.push_str(&format!(
            "  <rect class=\"box\" x=\"20\" y=\"{top}\" width=\"820\" height=\"{height}\" rx=\"8\"/>\n"
        ));
        body.push_str(&words(36, top + 25, "strong", title.trim_end_matches(['.', ':'])));
        for (at, file) in rows.iter().enumerate() {
            let (x, y) = (36 + (at as i32 % 5) * 159, top + 38 + (at as i32 / 5) * 44);
            body.push_str(&format!(
                "  <rect class=\"mark\" x=\"{x}\" y=\"{y}\" width=\"150\" height=\"34\" rx=\"6\"/>\n"
            ));
            body.push_str(&words(x + 75, y + 22, "middle code", file));
        }
        top += height;
        if title != &layers[0].0 {
            body.push_str(&format!(
                "  <path class=\"line\" marker-end=\"url(#arrow)\" d=\"M430 {top} V{}\"/>\n",
                top + 24
            ));
            top += 26;
        }
    }
    let desc = "Who may name whom: a layer knows those below it and none above. Drawn from the table in \
                tests/layering.rs by tests/book/diagrams.rs.";
    body.push_str(&words(
        430,
        top + 28,
        "middle small",
        "A layer names those below it, never one above: tests/layering.rs has the exact table.",
    ));
    svg(860, (top + 46) as u32, "The layers of roomd", desc, &body)
}
