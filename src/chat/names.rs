//! Which member of a room has which chosen name.
//!
//! Names that are given are not in it. Each is given once, and none can be chosen, so they cannot collide with anything.

use std::collections::BTreeMap;

use super::name::{self, Name, NameKey};
use super::text;
use crate::limits::fixed::MAX_NAME_CHARACTERS;

/// The chosen names of a room. `H` says who has them, each at most one.
///
/// A tree, not a hash table: its cost is bounded whatever names are chosen, without a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRegistry<H> {
    /// By [`NameKey::folded`].
    names: BTreeMap<Box<str>, H>,
    /// By [`NameKey::look`]. As many as there are in `names`.
    looks: BTreeMap<Box<str>, H>,
}

/// Why a name cannot be had in this room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// A member has it, perhaps written in another case.
    Taken,
    /// A member has one that looks like it.
    TooSimilar,
}

/// A name cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict<H> {
    /// Why not.
    pub why: Unavailable,
    /// Who has the name that is in the way.
    pub holder: H,
}

impl<H: Copy + Eq> NameRegistry<H> {
    /// Nobody has a name.
    #[must_use]
    pub fn new() -> NameRegistry<H> {
        NameRegistry { names: BTreeMap::new(), looks: BTreeMap::new() }
    }

    /// `holder` has `name` from now on, and no longer `old`. The two may be the same, or look alike.
    ///
    /// # Errors
    /// Another holder has the name, or one that looks like it. Nothing has changed then.
    pub fn take(&mut self, name: &Name, old: Option<&Name>, holder: H) -> Result<(), Conflict<H>> {
        if name.is_tourist() {
            old.into_iter().for_each(|old| self.free(old));
            return Ok(());
        }
        let NameKey { folded, look } = name.key();
        let of_another = |holder_of: Option<&H>| holder_of.copied().filter(|other| *other != holder);
        if let Some(holder) = of_another(self.names.get(&folded)) {
            return Err(Conflict { why: Unavailable::Taken, holder });
        }
        if let Some(holder) = of_another(self.looks.get(&look)) {
            return Err(Conflict { why: Unavailable::TooSimilar, holder });
        }
        old.into_iter().for_each(|old| self.free(old));
        self.names.insert(folded, holder);
        self.looks.insert(look, holder);
        Ok(())
    }

    /// Another holder has `name` from now on.
    pub fn hand_over(&mut self, name: &Name, holder: H) {
        if name.is_tourist() {
            return;
        }
        let NameKey { folded, look } = name.key();
        self.names.insert(folded, holder);
        self.looks.insert(look, holder);
    }

    /// Nobody has `name` any more.
    pub fn free(&mut self, name: &Name) {
        if name.is_tourist() {
            return;
        }
        let NameKey { folded, look } = name.key();
        self.names.remove(&folded);
        self.looks.remove(&look);
    }

    /// Who has the chosen name that is meant by `name_text`: case, and white space around it, do not count.
    #[must_use]
    pub fn holder(&self, name_text: &str) -> Option<H> {
        let text = text::composed(name_text.trim(), MAX_NAME_CHARACTERS)?;
        self.names.get(name::fold(&text).as_str()).copied()
    }
}

impl<H: Copy + Eq> Default for NameRegistry<H> {
    fn default() -> NameRegistry<H> {
        NameRegistry::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(text: &str) -> Name {
        Name::chosen(text).unwrap()
    }

    fn taken_by(holder: u8) -> Result<(), Conflict<u8>> {
        Err(Conflict { why: Unavailable::Taken, holder })
    }

    fn similar_to_that_of(holder: u8) -> Result<(), Conflict<u8>> {
        Err(Conflict { why: Unavailable::TooSimilar, holder })
    }

    #[test]
    fn a_name_is_taken_in_any_case_and_disguise_until_it_is_freed() {
        let mut names = NameRegistry::new();
        assert_eq!(names.take(&chosen("Alice"), None, 1), Ok(()));
        assert_eq!(names.take(&chosen("aLICE"), None, 2), taken_by(1));
        assert_eq!(names.take(&chosen("Аlice"), None, 2), similar_to_that_of(1), "with a Cyrillic А");
        names.free(&chosen("Alice"));
        assert_eq!(names.take(&chosen("aLICE"), None, 2), Ok(()));
    }

    #[test]
    fn a_change_of_case_or_of_nothing_leaves_the_name_with_its_holder() {
        for new in ["ALICE", "Alice", "AIice"] {
            let mut names = NameRegistry::new();
            names.take(&chosen("Alice"), None, 1).unwrap();
            assert_eq!(names.take(&chosen(new), Some(&chosen("Alice")), 1), Ok(()));
            assert_eq!(names.holder(new), Some(1));
            assert!(names.take(&chosen("Alice"), None, 2).is_err(), "{new} is in its way");
            names.free(&chosen(new));
            assert_eq!(names.holder(new), None);
            assert_eq!(names.take(&chosen("Alice"), None, 2), Ok(()));
        }
    }

    #[test]
    fn a_refused_name_changes_nothing() {
        let mut names = NameRegistry::new();
        names.take(&chosen("Alice"), None, 1).unwrap();
        names.take(&chosen("Bob"), None, 2).unwrap();
        let before = names.clone();
        assert_eq!(names.take(&chosen("AIice"), Some(&chosen("Bob")), 2), similar_to_that_of(1));
        assert_eq!(names, before);
    }

    #[test]
    fn the_holder_is_found_in_any_case_and_form_and_nobody_by_a_look_alike() {
        let mut names = NameRegistry::new();
        names.take(&chosen("Zoë B"), None, 1).unwrap();
        for text in ["Zoë B", " zoe\u{308} b ", "ZOË B"] {
            assert_eq!(names.holder(text), Some(1), "{text}");
        }
        for text in ["", "Zoe B", "Z0ë B", "Zoë B Zoë B Zoë B Zoë B Zoë B Zoë B Zoë B"] {
            assert_eq!(names.holder(text), None, "{text}");
        }
    }

    #[test]
    fn tourists_cost_nothing() {
        let mut names = NameRegistry::new();
        assert_eq!(names.take(&Name::tourist(5), None, 1), Ok(()));
        assert_eq!(names.take(&Name::tourist(5), None, 2), Ok(()));
        assert_eq!(names.holder("Tourist 5"), None);
        assert_eq!(names, NameRegistry::new());
    }

    /// The registry in the plainest way: a list.
    #[derive(Default)]
    struct Model(Vec<(Name, u8)>);

    impl Model {
        fn take(&mut self, name: &Name, holder: u8) -> Result<(), Conflict<u8>> {
            let key = name.key();
            let others =
                || self.0.iter().filter(|(_, other)| *other != holder).map(|(name, other)| (name.key(), *other));
            if let Some((_, other)) = others().find(|(other, _)| other.folded == key.folded) {
                return taken_by(other);
            }
            if let Some((_, other)) = others().find(|(other, _)| other.look == key.look) {
                return similar_to_that_of(other);
            }
            self.0.retain(|(_, other)| *other != holder);
            self.0.push((name.clone(), holder));
            Ok(())
        }

        fn name_of(&self, holder: u8) -> Option<Name> {
            self.0.iter().find(|(_, other)| *other == holder).map(|(name, _)| name.clone())
        }

        fn holder(&self, text: &str) -> Option<u8> {
            self.0.iter().find(|(name, _)| *name.key().folded == name::fold(text)).map(|(_, holder)| *holder)
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take(usize, u8),
        Free(u8),
    }

    /// Three names in several cases and disguises. The last two have one fold, but not one look.
    const NAMES: &[&str] = &["Bill", "BILL", "Biii", "B1LL", "Вill", "Bob", "bob", "b0b", "Zoe", "Βeta", "βeta"];

    fn step() -> impl Strategy<Value = Step> {
        let what = (0..NAMES.len(), 0..3u8, any::<bool>());
        what.prop_map(|(name, holder, takes)| if takes { Step::Take(name, holder) } else { Step::Free(holder) })
    }

    proptest! {
        #[test]
        fn the_registry_does_what_a_plain_list_would(steps in prop::collection::vec(step(), 0..60)) {
            let chosen: Vec<Name> = NAMES.iter().map(|text| chosen(text)).collect();
            let mut names = NameRegistry::new();
            let mut model = Model::default();
            for step in steps {
                match step {
                    Step::Take(name, holder) => {
                        let old = model.name_of(holder);
                        let taken = names.take(&chosen[name], old.as_ref(), holder);
                        prop_assert_eq!(taken, model.take(&chosen[name], holder));
                    }
                    Step::Free(holder) => {
                        model.name_of(holder).iter().for_each(|name| names.free(name));
                        model.0.retain(|(_, other)| *other != holder);
                    }
                }
                for text in NAMES {
                    prop_assert_eq!(names.holder(text), model.holder(text));
                }
            }
            for (name, _) in model.0 {
                names.free(&name);
            }
            prop_assert_eq!(names, NameRegistry::new(), "nothing is left behind");
        }
    }
}
