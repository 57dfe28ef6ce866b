//! What clients ask for and say: few names, few rooms, so that they get in each other's way.

use super::choices::Choices;

/// Names as they may be written, by person: those of one person are the same, or look like it.
const PEOPLE: &[&[&str]] = &[&["Bill", "BILL", "B1ll", "\u{412}ill"], &["bob", "Bob", "b0b"], &["Zoe"], &["王小明"]];

/// Names that nobody can have.
const BAD_NAMES: &[&str] = &["Tourist 5", "roomd", "a\u{202e}b", "two  spaces"];

pub(crate) const ROOMS: &[&str] = &["lobby", "den", "Den", "汉字", "attic"];

/// Rooms that there cannot be.
const BAD_ROOMS: &[&str] = &["a/b", "..", "x\u{200b}"];

/// One name that cannot be confused with the others, for each person.
pub(crate) fn people() -> impl Iterator<Item = &'static str> {
    PEOPLE.iter().map(|names| names[0])
}

/// Whose name it is: those with the same answer cannot be in one room.
pub(crate) fn person(name: &str) -> &str {
    PEOPLE.iter().find(|names| names.contains(&name)).map_or(name, |names| names[0])
}

pub(crate) fn any_name(choices: &mut Choices) -> &'static str {
    if choices.one_in(8) {
        return choices.choose::<&str>(BAD_NAMES);
    }
    let names: &[&str] = choices.choose::<&[&str]>(PEOPLE);
    choices.choose::<&str>(names)
}

pub(crate) fn is_bad_name(name: &str) -> bool {
    BAD_NAMES.contains(&name)
}

/// A line that is no message. Each is answered; `tag` marks what is said in private, and `newest_id` is where the
/// speaker is in the stream.
pub(crate) fn command(tag: &str, tourists: usize, newest_id: u64, choices: &mut Choices) -> String {
    match choices.below(20) {
        0..=4 => format!("/nick {}", any_name(choices)),
        5..=7 => format!("/join {}", choices.choose::<&str>(ROOMS)),
        8..=10 => format!("/msg \"{}\" {tag}", any_name(choices)),
        11..=12 => format!("/msg \"tourist {}\" {tag}", 1 + choices.below(tourists)),
        13 => "/who".to_owned(),
        14 => choices.choose(&["/help", "/ping", "/ping 7"]).to_string(),
        15..=17 => {
            let befores = [0, 1, u64::MAX, newest_id, (newest_id + 3).saturating_sub(choices.below(90) as u64)];
            format!("/history {}", choices.choose(&befores))
        }
        18 => format!("/join {}", choices.choose::<&str>(BAD_ROOMS)),
        _ => choices.choose(&["/nick", "/history x", "/nothing", "/msg bob", "、msg bob so"]).to_string(),
    }
}

/// In an address.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
