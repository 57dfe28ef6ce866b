//! What clients ask for and say: few names, few rooms, so that they get in each other's way.

use crate::dice::Dice;

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

pub(crate) fn any_name(dice: &mut Dice) -> &'static str {
    if dice.one_in(8) {
        return dice.choose::<&str>(BAD_NAMES);
    }
    let names: &[&str] = dice.choose::<&[&str]>(PEOPLE);
    dice.choose::<&str>(names)
}

pub(crate) fn is_bad_name(name: &str) -> bool {
    BAD_NAMES.contains(&name)
}

/// A line that is no message. Each is answered; `tag` marks what is said in private, and `newest_id` is where the
/// speaker is in the stream.
pub(crate) fn command(tag: &str, tourists: usize, newest_id: u64, dice: &mut Dice) -> String {
    match dice.below(20) {
        0..=4 => format!("/nick {}", any_name(dice)),
        5..=7 => format!("/join {}", dice.choose::<&str>(ROOMS)),
        8..=10 => format!("/msg \"{}\" {tag}", any_name(dice)),
        11..=12 => format!("/msg \"tourist {}\" {tag}", 1 + dice.below(tourists)),
        13 => "/who".to_owned(),
        14 => dice.choose(&["/help", "/ping", "/ping 7"]).to_string(),
        15..=17 => {
            let befores = [0, 1, u64::MAX, newest_id, (newest_id + 3).saturating_sub(dice.below(90) as u64)];
            format!("/history {}", dice.choose(&befores))
        }
        18 => format!("/join {}", dice.choose::<&str>(BAD_ROOMS)),
        _ => dice.choose(&["/nick", "/history x", "/nothing", "/msg bob"]).to_string(),
    }
}

/// In an address.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
