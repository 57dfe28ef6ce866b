//! What members are called.

use std::fmt;

use serde::{Serialize, Serializer};

/// A member's name.
///
/// So far each is given one, as in the PHP program: `Tourist N`. There it was the number of the socket, which the next
/// visitor inherited; here N rises and is never used again while the daemon runs, so a name is one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    tourist: u64,
}

impl Name {
    /// The name of the `number`th visitor.
    #[must_use]
    pub fn tourist(number: u64) -> Name {
        Name { tourist: number }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tourist {}", self.tourist)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
