//! Who holds which chosen name in a room.
//!
//! Names that are given are not in it. Each is given once, none can be chosen, so they cannot collide with anything.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::name::{self, Name, NameKey};
use super::text;
use crate::limits::fixed::MAX_NAME_CHARACTERS;

/// The chosen names of a room. `H` says whose they are.
///
/// A tree, not a hash table: its cost is bounded whatever names are chosen, without a secret.
#[derive(Debug)]
pub struct Roster<H> {
    /// By [`NameKey::folded`]. Never empty: a name nobody claims has no entry.
    held: BTreeMap<Box<str>, Held<H>>,
    /// By [`NameKey::look`]. As many claims as there are names in `held` with that look.
    looks: BTreeMap<Box<str>, Look<H>>,
}

#[derive(Debug)]
struct Held<H> {
    holder: H,
    /// One for each claim, as it was written. During a change of case there are two; a release must name one of them.
    claims: Vec<Name>,
}

#[derive(Debug)]
struct Look<H> {
    holder: H,
    claims: usize,
}

/// Why a name cannot be had in this room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// Somebody has it, perhaps written in another case.
    Taken,
    /// Somebody has one that looks like it.
    TooSimilar,
}

impl<H: Copy + Eq> Roster<H> {
    /// Nobody holds a name.
    #[must_use]
    pub fn new() -> Roster<H> {
        Roster { held: BTreeMap::new(), looks: BTreeMap::new() }
    }

    /// `name` becomes `holder`'s, until it is released. It may be one that `holder` has already, or look like it; each
    /// claim wants its own release. So for a change of name the new one is claimed first and the old one released when
    /// the change has happened, even if the two are the same.
    ///
    /// # Errors
    /// If somebody else is in the way. Nothing has changed then.
    pub fn claim(&mut self, name: &Name, holder: H) -> Result<(), Unavailable> {
        if name.is_tourist() {
            return Ok(());
        }
        let NameKey { folded, look } = name.key();
        let held = match self.held.entry(folded) {
            Entry::Occupied(held) if held.get().holder != holder => return Err(Unavailable::Taken),
            held => held,
        };
        let look = match self.looks.entry(look) {
            Entry::Occupied(look) if look.get().holder != holder => return Err(Unavailable::TooSimilar),
            look => look,
        };
        held.or_insert(Held { holder, claims: Vec::new() }).claims.push(name.clone());
        look.or_insert(Look { holder, claims: 0 }).claims += 1;
        Ok(())
    }

    /// Who is in the way of `holder` claiming `name`: somebody who has it, or one that looks like it.
    #[must_use]
    pub fn rival(&self, name: &Name, holder: H) -> Option<H> {
        let NameKey { folded, look } = name.key();
        let namesake = self.held.get(&folded).map(|held| held.holder);
        let double = self.looks.get(&look).map(|look| look.holder);
        [namesake, double].into_iter().flatten().find(|other| *other != holder)
    }

    /// Gives back one claim of `name`. If `holder` has none, written just so, nothing happens.
    pub fn release(&mut self, name: &Name, holder: H) {
        if name.is_tourist() {
            return;
        }
        let NameKey { folded, look } = name.key();
        let Entry::Occupied(mut held) = self.held.entry(folded) else { return };
        let claim = held.get().claims.iter().position(|claimed| claimed == name);
        let Some(claim) = claim.filter(|_| held.get().holder == holder) else { return };
        held.get_mut().claims.swap_remove(claim);
        if held.get().claims.is_empty() {
            held.remove();
        }
        if let Entry::Occupied(mut look) = self.looks.entry(look) {
            look.get_mut().claims -= 1;
            if look.get().claims == 0 {
                look.remove();
            }
        }
    }

    /// Who has the chosen name that is meant by `name_text`: case, and white space around it, do not count.
    #[must_use]
    pub fn holder(&self, name_text: &str) -> Option<H> {
        let text = text::composed(name_text.trim(), MAX_NAME_CHARACTERS)?;
        self.held.get(name::fold(&text).as_str()).map(|held| held.holder)
    }
}

impl<H: Copy + Eq> Default for Roster<H> {
    fn default() -> Roster<H> {
        Roster::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(text: &str) -> Name {
        Name::chosen(text).unwrap()
    }

    #[test]
    fn a_name_is_taken_in_any_case_and_free_again_when_its_holder_leaves() {
        let mut roster = Roster::new();
        assert_eq!(roster.claim(&chosen("Alice"), 1), Ok(()));
        assert_eq!(roster.claim(&chosen("aLICE"), 2), Err(Unavailable::Taken));
        assert_eq!(roster.claim(&chosen("Аlice"), 2), Err(Unavailable::TooSimilar), "with a Cyrillic А");
        roster.release(&chosen("Alice"), 1);
        assert_eq!(roster.claim(&chosen("aLICE"), 2), Ok(()));
    }

    #[test]
    fn only_its_holder_can_release_a_name() {
        let mut roster = Roster::new();
        roster.claim(&chosen("Alice"), 1).unwrap();
        roster.release(&chosen("Alice"), 2);
        roster.release(&chosen("ALICE"), 1);
        assert_eq!(roster.holder("Alice"), Some(1));
    }

    #[test]
    fn a_change_of_case_or_of_nothing_leaves_the_name_held() {
        for new in ["ALICE", "Alice", "AIice"] {
            let mut roster = Roster::new();
            roster.claim(&chosen("Alice"), 1).unwrap();
            roster.claim(&chosen(new), 1).unwrap();
            roster.release(&chosen("Alice"), 1);
            assert_eq!(roster.holder(new), Some(1));
            assert!(roster.claim(&chosen("Alice"), 2).is_err(), "{new} is in its way");
            roster.release(&chosen(new), 1);
            assert_eq!(roster.holder(new), None);
            assert_eq!(roster.claim(&chosen("Alice"), 2), Ok(()));
        }
    }

    #[test]
    fn a_refused_claim_changes_nothing() {
        let mut roster = Roster::new();
        roster.claim(&chosen("Alice"), 1).unwrap();
        assert_eq!(roster.claim(&chosen("AIice"), 2), Err(Unavailable::TooSimilar));
        assert_eq!(roster.holder("AIice"), None);
        roster.release(&chosen("Alice"), 1);
        assert!(roster.held.is_empty() && roster.looks.is_empty());
    }

    #[test]
    fn the_holder_is_found_in_any_case_and_form_and_nobody_by_a_look_alike() {
        let mut roster = Roster::new();
        roster.claim(&chosen("Zoë B"), 1).unwrap();
        for text in ["Zoë B", " zoe\u{308} b ", "ZOË B"] {
            assert_eq!(roster.holder(text), Some(1), "{text}");
        }
        for text in ["", "Zoe B", "Z0ë B", "Zoë B Zoë B Zoë B Zoë B Zoë B Zoë B Zoë B"] {
            assert_eq!(roster.holder(text), None, "{text}");
        }
    }

    #[test]
    fn tourists_cost_nothing() {
        let mut roster = Roster::new();
        assert_eq!(roster.claim(&Name::tourist(5), 1), Ok(()));
        assert_eq!(roster.claim(&Name::tourist(5), 2), Ok(()));
        assert_eq!(roster.holder("Tourist 5"), None);
        assert!(roster.held.is_empty() && roster.looks.is_empty());
    }

    /// The roster in the plainest way: a list.
    #[derive(Default)]
    struct Model(Vec<(Name, u8)>);

    impl Model {
        fn claim(&mut self, name: &Name, holder: u8) -> Result<(), Unavailable> {
            let others = || self.0.iter().filter(|(_, other)| *other != holder).map(|(name, _)| name.key());
            if others().any(|other| other.folded == name.key().folded) {
                return Err(Unavailable::Taken);
            }
            if others().any(|other| other.look == name.key().look) {
                return Err(Unavailable::TooSimilar);
            }
            self.0.push((name.clone(), holder));
            Ok(())
        }

        fn release(&mut self, name: &Name, holder: u8) {
            if let Some(at) = self.0.iter().position(|held| *held == (name.clone(), holder)) {
                self.0.remove(at);
            }
        }

        fn holder(&self, text: &str) -> Option<u8> {
            self.0.iter().find(|(name, _)| *name.key().folded == name::fold(text)).map(|(_, holder)| *holder)
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Claim(usize, u8),
        Release(usize, u8),
    }

    /// Three names in several cases and disguises. The last two have one fold, but not one look.
    const NAMES: &[&str] = &["Bill", "BILL", "Biii", "B1LL", "Вill", "Bob", "bob", "b0b", "Zoe", "Βeta", "βeta"];

    fn step() -> impl Strategy<Value = Step> {
        let what = (0..NAMES.len(), 0..3u8, any::<bool>());
        what.prop_map(
            |(name, holder, claims)| if claims { Step::Claim(name, holder) } else { Step::Release(name, holder) },
        )
    }

    proptest! {
        #[test]
        fn the_roster_does_what_a_plain_list_would(steps in prop::collection::vec(step(), 0..60)) {
            let names: Vec<Name> = NAMES.iter().map(|text| chosen(text)).collect();
            let mut roster = Roster::new();
            let mut model = Model::default();
            for step in steps {
                match step {
                    Step::Claim(name, holder) => {
                        prop_assert_eq!(roster.claim(&names[name], holder), model.claim(&names[name], holder));
                    }
                    Step::Release(name, holder) => {
                        roster.release(&names[name], holder);
                        model.release(&names[name], holder);
                    }
                }
                for text in NAMES {
                    prop_assert_eq!(roster.holder(text), model.holder(text));
                }
            }
            for (name, holder) in model.0 {
                roster.release(&name, holder);
            }
            prop_assert!(roster.held.is_empty() && roster.looks.is_empty(), "nothing is left behind");
        }
    }
}
